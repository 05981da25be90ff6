"""A document that changes in the middle, and a status that is lost or old."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.release.decision.observation import ReleaseAction
from k8s_manager.release.decision.rules import ReleaseStep
from k8s_manager.release.decision.state import BlockedVersion, ReleasePhase, ReleaseReason
from k8s_manager.traffic.release_record import MOST_TEXT, RecordedBlock, ReleaseRecord, record_in
from tests.support.releases import FAILING, GOOD, IDLE, RULES, ReleaseCluster

P, R = ReleasePhase, ReleaseReason


def under_way(weight: int = 25) -> ReleaseCluster:
    cluster = ReleaseCluster()
    cluster.reach(P.RUNNING, weight)
    cluster.look()
    return cluster


def test_a_new_model_gets_its_version_without_a_release():
    cluster = ReleaseCluster(state=None, live={}, warm={"v2": 1})
    assert cluster.look().weights == {"v2": 100, "v1": 0}
    assert cluster.state.phase is P.DONE


def test_back_to_the_stable_version_returns_at_once_without_a_block():
    cluster = under_way()
    cluster.wanted = "v1"
    found = cluster.look()
    assert (found.weights, found.reasons) == ({"v1": 100, "v2": 0}, (R.DOCUMENT_CHANGED,))
    assert cluster.state.blocked == ()
    cluster.wanted = "v2"
    cluster.reach(P.DONE)


def test_back_to_the_former_version_while_that_drains_is_one_decision_too():
    cluster = ReleaseCluster()
    cluster.reach(P.DRAINING)
    cluster.wanted = "v1"
    assert cluster.look().weights == {"v1": 100, "v2": 0}


def test_another_version_takes_the_place_of_the_one_that_was_coming():
    cluster = under_way()
    cluster.wanted = "v3"
    found = cluster.look()
    assert (found.weights, found.reasons) == ({"v1": 100, "v2": 0, "v3": 0}, (R.WARMING, R.DOCUMENT_CHANGED))
    cluster.reach(P.DONE)
    assert cluster.live == {"v3": 100}


def test_another_version_after_the_promotion_begins_from_the_promoted_one():
    cluster = ReleaseCluster()
    cluster.reach(P.DRAINING)
    cluster.wanted = "v3"
    assert cluster.look().weights == {"v1": 0, "v2": 100, "v3": 0}
    assert (cluster.state.stable, cluster.state.version) == ("v2", "v3")


def test_a_blocked_version_in_the_middle_leads_back_to_the_stable_one():
    cluster = under_way()
    cluster.state = replace(cluster.state, blocked=(BlockedVersion("v3", "It failed.", 0),))
    cluster.wanted = "v3"
    found = cluster.look()
    assert (found.weights["v1"], found.reasons) == (100, (R.VERSION_BLOCKED, R.DOCUMENT_CHANGED))
    cluster.wanted = "v1"
    assert cluster.look().reasons == (R.COMPLETE,)


@pytest.mark.parametrize(
    ("steps", "weight", "then"),
    [
        ((10, 20, 40), 20, 40),
        ((25, 60), 25, 60),
        ((50,), 25, 50),
        ((), 25, 100),
    ],
    ids=["to the step below", "to the same weight", "before the first step", "no steps"],
)
def test_other_steps_never_lift_the_weight_by_themselves(steps, weight, then):
    cluster = under_way()
    cluster.rules = replace(RULES, steps=tuple(ReleaseStep(step) for step in steps))
    found = cluster.look()
    assert found.weights["v2"] == weight
    assert R.STEPS_CHANGED in found.reasons
    for _ in range(30):
        found = cluster.look()
        if found.weights["v2"] != weight:
            break
    assert found.weights["v2"] == then


def test_other_steps_while_it_drains_change_nothing():
    cluster = ReleaseCluster()
    cluster.reach(P.DRAINING)
    cluster.rules = replace(RULES, steps=(ReleaseStep(7),))
    cluster.reach(P.DONE)
    assert {found.weights["v2"] for found in cluster.decisions[-50:]} == {100}


def test_a_replica_lost_after_other_steps_is_brought_back_without_new_evidence():
    cluster = ReleaseCluster()
    cluster.reach(P.DRAINING)
    cluster.rules = replace(RULES, steps=tuple(ReleaseStep(weight) for weight in range(1, 9)))
    cluster.new = None
    cluster.look()
    cluster.warm["v2"] = 7
    assert [cluster.look().weights["v2"] for _ in range(3)] == [70, 100, 100]


def test_a_paused_release_stays_paused_under_other_steps():
    cluster = under_way()
    cluster.act("pause")
    cluster.rules = replace(RULES, steps=(ReleaseStep(25), ReleaseStep(30)))
    assert {cluster.look().weights["v2"] for _ in range(30)} == {25}
    assert cluster.state.phase is P.PAUSED


@pytest.mark.parametrize(("live", "weight"), [({"v1": 75, "v2": 25}, 25), ({"v1": 70, "v2": 30}, 25)])
def test_a_lost_status_goes_on_from_the_live_weights(live, weight):
    cluster = ReleaseCluster(state=None, live=live, warm={"v1": 10, "v2": 5})
    found = cluster.look()
    assert (found.weights["v2"], R.STATE_LOST in found.reasons) == (weight, True)
    cluster.reach(P.DONE)
    assert cluster.live == {"v2": 100}


BLOCK = RecordedBlock("v2", "errors: 20 %", 900_000.0)


def test_a_lost_status_keeps_its_blocks_and_retry_takes_them_away():
    cluster = ReleaseCluster(state=None, record=ReleaseRecord("v1", (BLOCK,), "retry-1"))
    asked = ReleaseAction("retry-1", "retry", "ops")
    found = cluster.look(action=asked)
    assert (found.reasons[0], R.STATE_LOST in found.reasons) == (R.VERSION_BLOCKED, True)
    assert cluster.live == {"v1": 100} and "errors: 20 %" in found.message
    assert {cluster.look(action=asked).weights["v2"] for _ in range(50)} == {0}
    cluster.act("retry")
    cluster.reach(P.DONE)
    assert cluster.live == {"v2": 100} and cluster.state.blocked == ()


def test_where_routes_are_gone_too_requests_go_to_the_stable_version_and_a_release_begins():
    cluster = ReleaseCluster(state=None, live={}, warm={"v1": 10}, record=ReleaseRecord("v1"))
    found = cluster.look()
    assert found.weights == {"v1": 100, "v2": 0} and cluster.state.is_under_way
    cluster.reach(P.DONE)
    assert cluster.live == {"v2": 100}
    cluster = ReleaseCluster(state=None, live={}, record=ReleaseRecord("v1", (BLOCK,)))
    assert {cluster.look().weights["v1"] for _ in range(50)} == {100}


def test_a_stable_version_that_is_gone_leaves_the_document():
    cluster = ReleaseCluster(state=None, live={}, record=ReleaseRecord("v0", (BLOCK,)))
    assert cluster.look().weights["v2"] == 100 and cluster.state.blocked == ()


def test_a_blocked_version_with_live_requests_loses_them():
    cluster = ReleaseCluster(state=None, live={"v1": 75, "v2": 25}, warm={"v1": 10, "v2": 5})
    cluster.record = ReleaseRecord("v1", (BLOCK,))
    assert cluster.look().weights == {"v1": 100, "v2": 0}
    assert [one.version for one in cluster.state.blocked] == ["v2"]


@given(text=st.text(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_what_others_have_written_is_no_record(text):
    assert record_in(text) is None


@given(
    stable=st.text(min_size=1, max_size=63),
    blocked=st.lists(st.builds(RecordedBlock, st.text(), st.text(max_size=300), st.integers(0, 2**32).map(float))),
    handled=st.text(max_size=1024),
)
def test_a_record_is_read_as_it_was_written_but_for_the_oldest_blocks(stable, blocked, handled):
    record = ReleaseRecord(stable, tuple(blocked), handled)
    found = record_in(record.text)
    assert found == replace(record, blocked=record.blocked[-16:]) or len(record.text) > MOST_TEXT


def test_a_lost_status_below_the_first_step_keeps_what_is_live():
    rules = replace(RULES, steps=(ReleaseStep(10), ReleaseStep(50)))
    cluster = ReleaseCluster(rules=rules, state=None, live={"v1": 97, "v2": 3}, warm={"v1": 10, "v2": 1})
    assert cluster.look().weights["v2"] in (3, 10)
    cluster.reach(P.DONE)


@pytest.mark.parametrize("at", range(0, 120, 7))
@pytest.mark.parametrize(("new", "end"), [(GOOD, {"v2": 100}), (FAILING, {"v1": 100})], ids=["good", "failing"])
def test_an_older_status_leads_to_the_same_end(at, new, end):
    """A cluster that is restored, or a leader whose last writes of the status were lost."""
    cluster = ReleaseCluster(new=new)
    states = [IDLE]
    for _ in range(at):
        cluster.look()
        states.append(cluster.state)
    cluster.state = states[at // 2]
    cluster.reach(P.DONE if new is GOOD else P.ABORTED, looks=400)
    assert cluster.live == end
