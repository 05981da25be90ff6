from hypothesis import given
from hypothesis import strategies as st

from ratelimiter.proof import Proof, Written, judge, rejected_by_all

WRITTEN = {4: Written(70, 100.0), 5: Written(80, 100.0)}


def judged(running, now=101.0, silent=0.0):
    return judge(WRITTEN, running, silent, now, patience=10.0)


def test_a_pod_that_shows_every_revision_has_applied_them():
    assert judged({4: 70, 5: 80, 6: 9}) == Proof("Applied")


def test_a_pod_that_shows_another_is_on_its_way_until_patience_ends():
    assert judged({4: 70, 5: 79}) == Proof("Pending", frozenset({5}))
    assert judged({4: 70, 5: 79}, now=110.5) == Proof("Rejected", frozenset({5}))


def test_a_pod_without_a_slot_does_not_run_it():
    assert judged({4: 70}).behind == {5}


def test_a_pod_that_is_silent_tells_nothing():
    assert judged(None).state == "Pending"
    assert judged(None, silent=11.0) == Proof("NoAnswer", frozenset({4, 5}))


@given(st.dictionaries(st.integers(0, 15), st.integers(1, 5)), st.floats(0, 100))
def test_applied_means_all_of_it(running, now):
    found = judged(running, now=100 + now)
    assert (found.state == "Applied") == all(running.get(slot) == written.revision for slot, written in WRITTEN.items())


def test_only_what_every_pod_that_answers_refuses_is_the_configurations_fault():
    refused, other = Proof("Rejected", frozenset({4, 5})), Proof("Rejected", frozenset({5}))
    assert rejected_by_all({"a": refused, "b": other}) == {5}
    assert rejected_by_all({"a": refused, "b": Proof("NoAnswer", frozenset({4}))}) == {4, 5}
    assert rejected_by_all({"a": refused, "b": Proof("Applied")}) == frozenset()
    assert rejected_by_all({"a": refused, "b": Proof("Pending", frozenset({4}))}) == frozenset()
    assert rejected_by_all({"b": Proof("NoAnswer", frozenset({4}))}) == frozenset()
