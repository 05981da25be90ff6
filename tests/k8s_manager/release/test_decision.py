"""A release from its beginning to its end: steps, replicas before requests, evidence, drain."""

from dataclasses import replace

import pytest

from k8s_manager.release.decision.decision import decide
from k8s_manager.release.decision.observation import StepStatistics
from k8s_manager.release.decision.rules import ReleaseStep, TroubleRule
from k8s_manager.release.decision.state import CheckVerdict, ReleasePhase, ReleaseReason, ReleaseState
from tests.support.releases import FAILING, FEW, GOOD, IDLE, LOOK, RULES, SLOW, STEPS, ReleaseCluster, requests

P, R = ReleasePhase, ReleaseReason


def test_a_model_that_releases_nothing_has_its_weights_and_no_bounds_of_replicas():
    found, state = decide(RULES, IDLE, ReleaseCluster(wanted="v1").observation())
    assert (dict(found.weights), found.mirror, dict(found.least_replicas)) == ({"v1": 100, "v2": 0}, 0, {})
    assert state.phase is P.DONE


def test_a_good_version_goes_through_every_step_and_ends_stable():
    cluster = ReleaseCluster()
    cluster.reach(P.DONE)
    weights = [found.weights["v2"] for found in cluster.decisions]
    assert list(dict.fromkeys(weights)) == [0, 1, 5, 25, 50, 100]
    assert (cluster.state.stable, cluster.live) == ("v2", {"v2": 100})


def test_replicas_are_there_before_the_requests():
    cluster = ReleaseCluster()
    cluster.reach(P.RUNNING, 25)
    before = cluster.decisions[-2]
    assert (before.weights["v2"], before.least_replicas["v2"], before.reasons[0]) == (5, 3, R.WARMING)
    assert cluster.decisions[-1].least_replicas == {"v1": 10, "v2": 3}


def test_a_step_waits_for_its_replicas_and_says_so():
    cluster = ReleaseCluster()
    for _ in range(50):
        cluster.warm["v2"] = 0
        found = cluster.look()
    assert (found.weights["v2"], found.least_replicas["v2"], found.reasons) == (0, 1, (R.WARMING,))
    assert "0 of 1 warm replicas" in found.message


def test_a_step_beyond_the_quota_is_not_begun():
    cluster = ReleaseCluster(most=4)
    for _ in range(100):
        found = cluster.look()
    assert (found.weights["v2"], found.least_replicas["v2"], found.reasons[0]) == (25, 4, R.QUOTA)
    assert "needs 5 replicas for 50 %, and may have 4; raise" in found.message


def test_the_stable_version_keeps_its_replicas_until_the_drain_is_over():
    cluster = ReleaseCluster()
    cluster.reach(P.DRAINING)
    cluster.warm["v1"] = 2  # an autoscaler that follows the demand would take them
    looks = [cluster.look() for _ in range(59)]
    assert {found.least_replicas["v1"] for found in looks} == {10}
    cluster.reach(P.DONE, looks=3)
    assert cluster.decisions[-1].least_replicas == {}


def test_a_step_lasts_at_least_its_hold():
    cluster = ReleaseCluster(rules=replace(RULES, steps=(ReleaseStep(10, hold=300.0), ReleaseStep(50))))
    cluster.reach(P.RUNNING, 10)
    began = cluster.at - LOOK
    cluster.reach(P.RUNNING, 50)
    assert 300 <= cluster.at - LOOK - began <= 330


def test_a_mirror_step_sends_no_requests_and_is_measured_by_what_it_mirrors():
    steps = (ReleaseStep(mirror=10), *STEPS)
    cluster = ReleaseCluster(rules=replace(RULES, steps=steps))
    found = cluster.reach(P.RUNNING, 0)
    assert (found.weights["v2"], found.mirror, found.least_replicas["v2"]) == (0, 10, 1)
    cluster.reach(P.RUNNING, 1)
    failing = ReleaseCluster(rules=replace(RULES, steps=steps), new=FAILING)
    failing.reach(P.ABORTED)
    assert {found.weights["v2"] for found in failing.decisions} == {0}


@pytest.mark.parametrize("new", [FAILING, SLOW], ids=["errors", "latency"])
def test_a_bad_version_is_back_at_nothing_at_the_first_look_and_blocked(new):
    cluster = ReleaseCluster()
    cluster.reach(P.RUNNING, 25)
    cluster.look()
    found = cluster.look(statistics=replace(cluster.observation().statistics, new=new))
    assert (found.weights, found.reasons) == ({"v1": 100, "v2": 0}, (R.CHECK_FAILED,))
    assert cluster.state.block("v2") is not None
    for _ in range(100):
        found = cluster.look()
    assert (found.weights["v2"], found.reasons) == (0, (R.VERSION_BLOCKED,))
    assert "Retry it" in found.message


def test_a_failed_check_keeps_its_numbers():
    cluster = ReleaseCluster(new=FAILING)
    cluster.reach(P.ABORTED)
    errors = next(found for found in cluster.state.results if found.name == "errors")
    assert (errors.verdict, errors.value, errors.bound, errors.requests) == (CheckVerdict.FAIL, 0.1, 0.01, 20_000)


def test_on_failure_hold_keeps_the_weights_until_a_person_goes_on():
    cluster = ReleaseCluster(rules=replace(RULES, on_failure=TroubleRule.HOLD))
    cluster.reach(P.RUNNING, 25)
    cluster.new = FAILING
    cluster.reach(P.HOLDING)
    cluster.new = GOOD
    assert {cluster.look().weights["v2"] for _ in range(100)} == {25}
    cluster.act("resume")
    cluster.reach(P.RUNNING, 50)


def test_a_version_that_fails_with_everything_still_returns_while_it_drains():
    cluster = ReleaseCluster()
    cluster.reach(P.DRAINING)
    cluster.new = FAILING
    cluster.look()
    assert cluster.look().weights == {"v1": 100, "v2": 0}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"new": None}, R.STATISTICS_MISSING),
        ({"delay": 300.0}, R.STATISTICS_MISSING),
        ({"new": FEW}, R.TOO_FEW_REQUESTS),
        ({"new": requests(500, failed=7)}, R.INCONCLUSIVE),
    ],
    ids=["no statistics", "old statistics", "too few requests", "neither good nor bad"],
)
def test_without_evidence_a_step_stays_and_goes_on_once_there_is_some(more, reason):
    cluster = ReleaseCluster()
    cluster.reach(P.RUNNING, 5)
    for name, value in more.items():
        setattr(cluster, name, value)
    looks = [cluster.look() for _ in range(100)]
    assert {found.weights["v2"] for found in looks} == {5}
    assert (cluster.state.phase, looks[-1].reasons) == (P.HOLDING, (reason,))
    cluster.new, cluster.delay = GOOD, 5.0
    cluster.reach(P.RUNNING, 25, looks=5)


def test_statistics_of_other_weights_are_no_evidence():
    cluster = ReleaseCluster()
    cluster.reach(P.RUNNING, 5)
    since = cluster.state.since - 1
    for _ in range(50):
        found = cluster.look(statistics=StepStatistics(since, cluster.at, GOOD, GOOD))
    assert (found.weights["v2"], found.reasons) == (5, (R.STATISTICS_MISSING,))


def test_on_inconclusive_abort_waits_some_time_and_then_aborts():
    cluster = ReleaseCluster(rules=replace(RULES, on_inconclusive=TroubleRule.ABORT))
    cluster.reach(P.RUNNING, 5)
    cluster.new = FEW
    began = cluster.state.since
    cluster.reach(P.ABORTED)
    assert 60 + 300 < cluster.state.since - began <= 60 + 300 + 2 * LOOK


def test_the_last_step_asks_for_proof_and_steps_before_do_not():
    within, allowed = requests(500, failed=4), 0.01
    assert within.outcomes["5xx"] / within.requests < allowed
    cluster = ReleaseCluster(new=within)
    cluster.reach(P.HOLDING)
    assert (cluster.state.weight, cluster.state.reason) == (50, R.INCONCLUSIVE)
    cluster.new = requests(50_000, failed=400)
    cluster.reach(P.DRAINING, 100, looks=5)


@pytest.mark.parametrize(("rule", "phase"), [(TroubleRule.ABORT, P.ABORTED), (TroubleRule.HOLD, P.HOLDING)])
def test_a_release_that_takes_too_long_ends_by_its_rule(rule, phase):
    cluster = ReleaseCluster(rules=replace(RULES, max_duration=600.0, on_inconclusive=rule))
    while cluster.at < IDLE.started + 1_000_700:
        cluster.warm["v2"] = 0  # it never warms up
        cluster.look()
    assert (cluster.state.phase, cluster.state.reason in (R.TOO_LONG, R.VERSION_BLOCKED)) == (phase, True)
    assert cluster.live == {"v1": 100}


def test_a_lost_replica_takes_its_share_of_the_weight_at_once_and_the_step_begins_again():
    cluster = ReleaseCluster()
    cluster.reach(P.RUNNING, 50)
    assert cluster.warm["v2"] == 5
    cluster.warm["v2"] = 3
    found, _ = decide(RULES, cluster.state, cluster.observation())
    assert (found.weights["v2"], found.least_replicas["v2"], found.reasons) == (30, 5, (R.WARMING, R.REPLICAS_LOST))
    cluster.look()
    cluster.reach(P.RUNNING, 50, looks=3)


def test_without_a_known_capacity_replicas_are_counted():
    cluster = ReleaseCluster()
    for _ in range(200):
        seen = cluster.observation()
        bare = {name: replace(found, per_replica=None) for name, found in seen.versions.items()}
        cluster.look(versions=bare)
    assert cluster.live == {"v2": 100} and cluster.warm["v2"] == 10


def test_weights_of_another_hand_are_put_right_and_noticed():
    cluster = ReleaseCluster()
    cluster.reach(P.RUNNING, 5)
    cluster.look()
    cluster.live = {"v1": 40, "v2": 60}
    found = cluster.look()
    assert (found.weights, found.reasons) == ({"v1": 95, "v2": 5}, (R.MEASURING, R.WEIGHTS_MOVED))
    assert cluster.state.since == cluster.at - LOOK, "what was measured was of other weights"


def test_a_write_that_is_not_seen_yet_is_no_other_hand_and_the_step_has_not_begun():
    cluster = ReleaseCluster()
    cluster.reach(P.RUNNING, 5)
    for _ in range(30):
        cluster.live = {"v1": 99, "v2": 1}
        found = cluster.look()
    assert (found.weights["v2"], found.reasons) == (5, (R.MEASURING,))
    cluster.look()
    assert cluster.at - cluster.state.since <= 2 * LOOK


def test_a_version_unknown_to_the_release_gets_nothing():
    cluster = ReleaseCluster(live={"v1": 80, "v0": 20})
    assert cluster.look().weights == {"v1": 100, "v0": 0, "v2": 0}


def test_a_window_that_is_closed_lets_nothing_begin_and_starts_no_replicas():
    cluster = ReleaseCluster()
    found = [cluster.look(may_progress=False, hindrance="Frozen until Monday.") for _ in range(20)][-1]
    assert (found.weights["v2"], found.least_replicas, found.reasons) == (0, {}, (R.WINDOW,))
    assert found.message == "Frozen until Monday."
    cluster.reach(P.RUNNING, 5)
    assert {cluster.look(may_progress=False).weights["v2"] for _ in range(50)} == {5}


def test_the_stable_version_may_lose_replicas_while_a_release_waits_for_its_first_window():
    cluster = ReleaseCluster()
    cluster.look(may_progress=False)
    cluster.warm["v1"] = 4
    cluster.look(may_progress=False)
    assert cluster.look().least_replicas["v1"] == 4


def test_a_closed_window_hinders_no_way_back_and_no_lost_replica_from_returning():
    cluster = ReleaseCluster()
    cluster.reach(P.RUNNING, 50)
    cluster.warm["v2"] = 4
    assert cluster.look(may_progress=False).weights["v2"] == 40
    assert [cluster.look(may_progress=False).weights["v2"] for _ in range(2)][-1] == 50
    cluster.new = FAILING
    assert [cluster.look(may_progress=False).weights["v2"] for _ in range(3)][-1] == 0


def test_without_steps_a_version_gets_everything_once_its_replicas_are_warm():
    cluster = ReleaseCluster(rules=replace(RULES, steps=()))
    assert cluster.look().weights["v2"] == 0
    assert cluster.look().weights["v2"] == 100
    assert isinstance(cluster.state, ReleaseState) and cluster.state.phase is P.DRAINING
