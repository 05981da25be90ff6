import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.samples import MOST, OLDEST, Sample, TrustedCount, believable, held
from ratelimiter.capacity import LimitBounds, VersionLoad
from ratelimiter.debounce import DebounceWindow, Rules
from ratelimiter.target import Terms, total

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    "value, age",
    [
        (math.nan, 0),
        (math.inf, 0),
        (-math.inf, 0),
        (-1, 0),
        (2.5, 0),
        (MOST + 1, 0),
        (1e300, 0),
        (3, OLDEST + 1),
        (3, -60),
    ],
)
def test_nonsense_is_not_believed(value, age):
    assert not believable(Sample(value, NOW - age), NOW)
    before = TrustedCount(4, NOW - 10)
    assert held(before, Sample(value, NOW - age), NOW) is before


def test_what_is_missing_changes_nothing():
    assert held(TrustedCount(4, NOW - 10), None, NOW) == TrustedCount(4, NOW - 10)
    assert held(None, None, NOW) is None


def test_an_older_sample_than_the_last_is_not_believed():
    assert held(TrustedCount(4, NOW - 10), Sample(9, NOW - 20), NOW) == TrustedCount(4, NOW - 10)


def test_a_good_one_moves_the_count_by_one_bounded_step():
    before = TrustedCount(10, NOW - 10)
    assert held(before, Sample(12, NOW), NOW).count == 12
    assert held(before, Sample(5000, NOW), NOW).count == 20
    assert held(before, Sample(0, NOW), NOW).count == 5
    assert held(None, Sample(300, NOW), NOW).count == 300


@given(st.integers(0, MOST), st.integers(0, MOST))
def test_steps_lead_to_what_is_told(start, end):
    now, found = NOW, TrustedCount(start, NOW)
    for _ in range(30):
        now += 5
        found = held(found, Sample(end, now), now)
    assert found.count == end


def test_ten_thousand_series_of_nonsense_never_take_a_limit_out_of_its_bounds():
    rules = Rules(DebounceWindow(0.2, 1), DebounceWindow(5, 30))
    bounds = LimitBounds(Fraction(2), Fraction(300))
    terms = Terms("search", "ranker", "search", "id", ("shared",), bounds, Fraction(1, 10), rules, "floor", "floor")
    chance = random.Random(7)
    nonsense = [math.nan, math.inf, -math.inf, -5.0, 0.5, 1e18, 1e300, -0.0, 0.0, 3.0, 17.0, float(MOST)]
    for _ in range(10_000):
        now, found, limits = NOW, None, []
        for _ in range(8):
            now += chance.choice([0.0, 1.0, 5.0, 60.0, 400.0])
            value = chance.choice([*nonsense, chance.uniform(-1e6, 1e6), float(chance.randrange(20))])
            sample = (
                None if chance.random() < 0.2 else Sample(value, now - chance.choice([0.0, 10.0, 89.0, 500.0, -90.0]))
            )
            found = held(found, sample, now)
            fresh = found is not None and now - found.at < 120
            loads = (VersionLoad("v1", found.count if found else 0, Fraction(20), Fraction(1)),)
            limits.append(total(terms, loads, fresh, limits[-1] if limits else None).value)
        assert all(value is not None and 2 <= value <= 300 for value in limits), limits
