"""Whether Kubernetes' HPA arrives at the decided number, by the metric that it is served, despite its tolerance."""

from math import ceil

import pytest

from ratelimiter.autoscale.horizontal_pod_autoscaler import HpaMemory, HpaRules, average_ratio, desired
from ratelimiter.autoscale.metric_value import metric_value

MOST = 1_000
NUMBERS = range(1, 201)


def settled(current: int, decided: int, least: int = 1, most: int = MOST, is_exact: bool = False) -> int:
    """Return the replicas at which the HPA stays; it looks every 15 s, and counts what it has set."""
    rules, memory, now = HpaRules(least, most, window=0.0, is_gradual=False), HpaMemory(), 0.0
    for _ in range(5):
        value = metric_value(decided, current, least, is_exact)
        after, memory = desired(rules, memory, now, current, average_ratio(value, 1.0, current))
        if after == current:
            return after
        current, now = after, now + 15.0
    pytest.fail(f"{decided} replicas: no rest, at last {current}")


@pytest.mark.parametrize("current", NUMBERS)
def test_it_rests_at_what_was_decided_or_at_most_a_tenth_above(current: int):
    for decided in NUMBERS:
        found = settled(current, decided)
        above = max(decided, current) // 10 + 1 if found != decided else 0
        assert decided <= found <= decided + above


@pytest.mark.parametrize("current", range(1, 10))
def test_below_ten_replicas_it_is_exact(current: int):
    assert [settled(current, decided) for decided in NUMBERS] == list(NUMBERS)


@pytest.mark.parametrize("current", NUMBERS)
def test_what_is_needed_is_never_withheld_by_the_tolerance(current: int):
    assert settled(current, current + 1) > current


@pytest.mark.parametrize("current", NUMBERS)
def test_both_bounds_are_reached_exactly(current: int):
    assert settled(current, current + 1, most=current + 1) == current + 1
    assert settled(current, max(1, current - 1), least=max(1, current - 1)) == max(1, current - 1)


@pytest.mark.parametrize("current", NUMBERS)
def test_where_no_more_may_come_it_lags_by_a_tenth_at_most(current: int):
    for decided in NUMBERS:
        found = settled(current, decided, is_exact=True)
        assert found <= max(decided, current)
        assert found >= ceil(decided / 1.1)


def test_the_decided_number_alone_would_never_be_reached():
    """What the metric is for: an HPA at 20 replicas does not act on 21, nor on 19."""
    rules = HpaRules(1, MOST, window=0.0, is_gradual=False)
    for decided in (19, 21):
        assert desired(rules, HpaMemory(), 0.0, 20, average_ratio(decided, 1.0, 20))[0] == 20


def test_replicas_that_are_not_known_yet_change_nothing():
    assert metric_value(7, 0, 1) == 7
