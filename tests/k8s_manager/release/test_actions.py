"""What people ask of a release."""

from dataclasses import replace

import pytest

from k8s_manager.release.decision.observation import ReleaseAction
from k8s_manager.release.decision.rules import ReleaseStep
from k8s_manager.release.decision.state import ReleasePhase, ReleaseReason
from tests.support.releases import FAILING, GOOD, LOOK, RULES, ReleaseCluster

P, R = ReleasePhase, ReleaseReason
APPROVED = replace(RULES, steps=(ReleaseStep(5), ReleaseStep(50, approval=True)))


def under_way(weight: int = 25, **more) -> ReleaseCluster:
    cluster = ReleaseCluster(**more)
    cluster.reach(P.RUNNING, weight)
    cluster.look()
    return cluster


def at_phase(phase: ReleasePhase) -> ReleaseCluster:
    """Return a release in a phase."""
    cluster = under_way(50 if phase is P.AWAITING_APPROVAL else 5, rules=APPROVED)
    if phase is P.PAUSED:
        cluster.act("pause")
    elif phase is P.HOLDING:
        cluster.new = None
        cluster.reach(P.HOLDING)
    elif phase is P.PREPARING:
        cluster.state = replace(cluster.state, step=1, begun=False, phase=phase)
    elif phase is P.PROMOTING:
        cluster.state = replace(cluster.state, step=2, begun=False, phase=phase)
    elif phase is P.DRAINING:
        cluster.act("promote")
        cluster.reach(phase, looks=3)
    elif phase is not P.RUNNING:
        cluster.reach(phase)
    return cluster


@pytest.mark.parametrize("phase", [phase for phase in P if phase not in (P.DONE, P.ABORTED)])
def test_an_abort_returns_in_one_decision_from_every_phase_and_blocks(phase):
    cluster = at_phase(phase)
    assert cluster.state.phase is phase
    found = cluster.act("abort")
    assert (found.weights, found.mirror, found.reasons) == ({"v1": 100, "v2": 0}, 0, (R.BY_HAND,))
    assert "ops: a reason" in cluster.state.block("v2").reason
    assert {cluster.look().weights["v2"] for _ in range(50)} == {0}


def test_a_retry_takes_the_block_away_and_begins():
    cluster = under_way(new=GOOD)
    cluster.act("abort")
    cluster.act("retry")
    assert cluster.state.blocked == ()
    cluster.reach(P.DONE)


def test_a_retry_of_a_version_that_is_not_blocked_does_nothing():
    cluster = ReleaseCluster(wanted="v1")
    assert cluster.act("retry").reasons == (R.COMPLETE, R.ACTION_IGNORED)


def test_an_action_is_handled_once():
    cluster = under_way()
    action = ReleaseAction("one", "pause", "ops")
    cluster.look(action=action)
    cluster.act("resume")
    handled = cluster.state.handled
    cluster.look(action=replace(action, id=handled))
    assert cluster.state.phase is not P.PAUSED


def test_an_action_for_another_version_does_nothing():
    cluster = under_way()
    found = cluster.look(action=ReleaseAction("one", "abort", "ops", version="v1"))
    assert (found.weights["v2"], found.reasons) == (25, (R.MEASURING, R.ACTION_IGNORED))


def test_a_pause_keeps_the_weights_and_its_time_does_not_count():
    cluster = under_way(rules=replace(RULES, max_duration=3600.0))
    cluster.act("pause")
    assert {cluster.look().weights["v2"] for _ in range(1000)} == {25}
    cluster.act("resume")
    cluster.reach(P.DRAINING, 100, looks=60)


def test_a_pause_does_not_keep_a_weight_that_is_not_carried_and_does_not_bring_it_back():
    cluster = under_way(50)
    cluster.act("pause")
    cluster.warm["v2"] = 2
    assert [cluster.look().weights["v2"] for _ in range(5)] == [20] * 5
    cluster.act("resume")
    cluster.reach(P.RUNNING, 50, looks=3)


def test_a_failure_in_a_pause_is_shown_and_acted_on_after_it():
    cluster = under_way()
    cluster.act("pause")
    cluster.new = FAILING
    assert [cluster.look().weights["v2"] for _ in range(5)] == [25] * 5
    assert cluster.state.results[0].verdict == "fail"
    assert cluster.act("resume").weights["v2"] == 0


def test_a_promotion_skips_steps_and_checks_and_not_replicas():
    cluster = under_way(5)
    cluster.new = None
    found = cluster.act("promote")
    assert (found.weights["v2"], found.least_replicas["v2"], found.reasons) == (5, 10, (R.WARMING,))
    assert cluster.look().weights["v2"] == 100


def test_a_promotion_waits_for_a_window():
    cluster = under_way(5)
    assert cluster.act("promote", may_progress=False).weights["v2"] == 5
    assert [cluster.look(may_progress=False).weights["v2"] for _ in range(5)] == [5] * 5
    assert cluster.look().weights["v2"] == 100


def test_a_step_that_needs_approval_does_not_end_without_it():
    cluster = ReleaseCluster(rules=APPROVED)
    cluster.reach(P.AWAITING_APPROVAL)
    assert {cluster.look().weights["v2"] for _ in range(100)} == {50}
    assert "approve it" in cluster.state.message
    cluster.act("approve")
    cluster.reach(P.DRAINING, 100, looks=3)


def test_an_approved_step_still_needs_its_evidence():
    cluster = under_way(50, rules=APPROVED)
    cluster.new = None
    cluster.act("approve")
    assert {cluster.look().weights["v2"] for _ in range(50)} == {50}


def test_a_step_cannot_be_approved_before_it_has_begun():
    cluster = under_way(5, rules=APPROVED)
    assert R.ACTION_IGNORED in cluster.act("approve").reasons
    cluster.reach(P.AWAITING_APPROVAL)


def test_a_version_that_fails_while_it_awaits_approval_is_aborted():
    cluster = ReleaseCluster(rules=APPROVED)
    cluster.reach(P.AWAITING_APPROVAL)
    cluster.new = FAILING
    assert cluster.look().weights["v2"] == 0


def test_a_resume_after_a_stop_begins_with_new_statistics():
    cluster = under_way(rules=replace(RULES, on_failure="hold"))
    cluster.new = FAILING
    cluster.reach(P.HOLDING)
    cluster.act("resume")
    assert cluster.state.since == cluster.at - LOOK
