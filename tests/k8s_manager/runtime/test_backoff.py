"""Pauses grow, and end at the longest however often something fails."""

from k8s_manager.runtime.backoff import Backoff


def test_each_pause_is_twice_the_last_until_the_longest():
    backoff = Backoff(0.5, 60.0)
    assert [backoff.after(failures) for failures in range(1, 10)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_what_fails_for_days_still_has_a_pause():
    assert Backoff(0.5, 60.0).after(100_000) == 60
