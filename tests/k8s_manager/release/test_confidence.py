"""Bounds that hold at every look together."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.access_log.latency import bucket_of
from k8s_manager.release.decision.confidence import (
    evidence,
    expected_share,
    is_above,
    is_below,
    quantile_bounds,
)


@pytest.mark.parametrize("share", [0.005, 0.05, 0.5])
def test_looks_at_every_request_are_wrong_no_more_often_than_a_bound_says(share):
    """With intervals made for one look (1.64 standard errors), more than half of the runs are wrong at some time."""
    chance, error, runs = random.Random(7), 0.05, 400
    wrong = naive = 0
    for _ in range(runs):
        hits, was_wrong, was_naive = 0, False, False
        for trials in range(1, 1500):
            hits += chance.random() < share
            if trials % 10 == 0:
                was_wrong = was_wrong or is_above(hits, trials, share, error) or is_below(hits, trials, share, error)
                was_naive = was_naive or abs(hits - share * trials) > 1.64 * math.sqrt(trials * share * (1 - share))
        wrong, naive = wrong + was_wrong, naive + was_naive
    assert wrong / runs <= error < 0.4 < naive / runs


@pytest.mark.parametrize(
    ("hits", "trials", "share", "above", "below"),
    [
        (2, 2, 0.01, False, False),
        (7, 7, 0.01, True, False),
        (0, 300, 0.01, False, False),
        (0, 700, 0.01, False, True),
        (200, 10_000, 0.01, True, False),
        (100, 10_000, 0.01, False, False),
        (0, 0, 0.01, False, False),
        (1, 10, 0.0, True, False),
        (0, 10, 0.0, False, False),
        (9, 10, 1.0, False, True),
        (10, 10, 1.0, False, False),
    ],
)
def test_what_requests_say_of_a_share(hits, trials, share, above, below):
    assert (is_above(hits, trials, share, 0.01), is_below(hits, trials, share, 0.01)) == (above, below)


@given(trials=st.integers(1, 100_000), part=st.floats(0, 1), share=st.floats(0.0001, 0.9999))
def test_nothing_is_above_and_below(trials, part, share):
    hits = round(part * trials)
    assert not (is_above(hits, trials, share, 0.01) and is_below(hits, trials, share, 0.01))
    assert evidence(round(share * trials), trials, share) < 1, "what is expected speaks against nothing"


def test_the_share_of_hits_that_falls_on_one_of_two():
    assert expected_share(1, 50, 50) == 0.5
    assert expected_share(2, 100, 900) == pytest.approx(200 / 1100)
    assert expected_share(2, 100, 0) == 1


@pytest.mark.parametrize("number", [300, 3000, 30_000])
def test_a_quantile_lies_between_its_bounds_and_they_close_in(number):
    chance = random.Random(number)
    latency: dict[int, int] = {}
    for _ in range(number):
        bucket = bucket_of(int(chance.expovariate(1) * 1e5))
        latency[bucket] = latency.get(bucket, 0) + 1
    low, high = quantile_bounds(latency, 0.99, 0.01)
    true = 0.1 * math.log(100)
    assert low < true < high
    assert high < {300: math.inf, 3000: 1.0, 30_000: 0.54}[number] or number == 300
    assert low > {300: 0.2, 3000: 0.35, 30_000: 0.42}[number]


def test_few_requests_bound_nothing():
    assert quantile_bounds({}, 0.99, 0.01) == (0, math.inf)
    assert quantile_bounds({200: 10}, 0.99, 0.01)[1] == math.inf
