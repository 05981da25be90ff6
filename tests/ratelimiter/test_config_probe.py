from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from istio_templates.facts import Bucket
from ratelimiter.config_probe import (
    Lag,
    PodConfigState,
    answering_state,
    behind_at_any,
    lags,
    late_at_all,
    may_replace,
    silent_state,
)

WRITTEN = {4: 70, 5: 80}


def test_a_pod_that_shows_every_revision_has_applied_them():
    assert lags({}, WRITTEN, {4: 70, 5: 80, 6: 9}, 1.0) == {}
    assert answering_state({}, 1.0, 10.0) == PodConfigState("Applied")


def test_a_pod_that_shows_another_is_on_its_way_until_patience_ends():
    lagging = lags({}, WRITTEN, {4: 70, 5: 79}, 100.0)
    assert lagging == {5: Lag(79, 100.0)}
    assert answering_state(lagging, 101.0, 10.0) == PodConfigState("Pending", frozenset({5}))
    assert answering_state(lagging, 110.5, 10.0) == PodConfigState("Rejected", frozenset({5}), frozenset({5}))


def test_a_slot_that_is_written_often_is_late_all_the_same_if_the_pod_does_not_move():
    lagging = {}
    for second in range(20):
        lagging = lags(lagging, {5: 80 + second}, {5: 79}, 100.0 + second)
    assert answering_state(lagging, 120.0, 10.0).late == {5}


def test_a_pod_that_moves_is_given_new_patience():
    lagging = lags(lags({}, {5: 80}, {5: 70}, 100.0), {5: 90}, {5: 80}, 109.0)
    assert answering_state(lagging, 112.0, 10.0).state == "Pending"


def test_only_what_is_late_is_rejected_not_what_was_written_just_now():
    lagging = {4: Lag(1, 100.0), 5: Lag(2, 119.9)}
    assert answering_state(lagging, 120.0, 10.0).late == {4}


def test_a_pod_that_is_silent_shows_nothing():
    assert silent_state(WRITTEN, 1.0, 10.0).state == "Pending"
    assert silent_state(WRITTEN, 11.0, 10.0) == PodConfigState("NoAnswer", frozenset({4, 5}), silent=True)


@given(st.dictionaries(st.integers(0, 15), st.integers(1, 5)), st.floats(0, 100))
def test_applied_means_all_of_it(running, now):
    found = answering_state(lags({}, WRITTEN, running, now), now, 10.0)
    assert (found.state == "Applied") == all(running.get(slot) == revision for slot, revision in WRITTEN.items())


def test_only_what_every_pod_that_answers_refuses_is_the_configurations_fault():
    refused = PodConfigState("Rejected", frozenset({4, 5}), frozenset({4, 5}))
    other = PodConfigState("Rejected", frozenset({4, 5}), frozenset({5}))
    quiet = PodConfigState("NoAnswer", frozenset({4, 5}), silent=True)
    assert late_at_all({"a": refused, "b": other}) == {5}
    assert late_at_all({"a": refused, "b": quiet}) == {4, 5}
    assert late_at_all({"a": refused, "b": PodConfigState("Applied")}) == frozenset()
    assert late_at_all({"b": quiet}) == frozenset()
    assert behind_at_any({"a": other, "b": quiet, "c": PodConfigState("Applied")}) == {4, 5}


def bucket(rate, burst=2):
    return Bucket(rate, 1, burst)


def test_a_raise_may_be_rolled_back_and_a_cut_may_not():
    assert may_replace((("a", bucket(20)),), (("a", bucket(40)),))
    assert not may_replace((("a", bucket(40)),), (("a", bucket(20)),))
    assert not may_replace((("a", bucket(20, burst=9)),), (("a", bucket(40)),))
    assert not may_replace((("a", replace(bucket(20), enforced=5)),), (("a", bucket(20)),))


def test_a_limit_that_is_new_is_not_rolled_back_to_nothing():
    assert not may_replace((("a", bucket(20)),), (("a", bucket(40)), ("b", bucket(5))))
