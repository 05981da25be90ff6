"""What holds whatever happens: documents, replicas, statistics, people and other hands in any order."""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_manager.release.decision.capacity import carried_weight
from k8s_manager.release.decision.checks import step_statistics
from k8s_manager.release.decision.decision import ReleaseDecision, decide
from k8s_manager.release.decision.observation import ReleaseAction, ReleaseObservation
from k8s_manager.release.decision.rules import ReleaseRules, ReleaseStep, TroubleRule
from k8s_manager.release.decision.state import (
    BlockedVersion,
    CheckResult,
    CheckVerdict,
    ReleasePhase,
    ReleaseReason,
    ReleaseState,
)
from tests.support.releases import FAILING, FEW, GOOD, IDLE, RULES, SLOW, ReleaseCluster

P = ReleasePhase
STATISTICS = {"good": GOOD, "failing": FAILING, "slow": SLOW, "few": FEW, "none": None}
VERBS = ("promote", "pause", "resume", "abort", "retry", "approve")
PLANS = (
    RULES.steps,
    (ReleaseStep(mirror=10), ReleaseStep(20, mirror=5), ReleaseStep(60, approval=True)),
    (ReleaseStep(50),),
    (),
)


@dataclass(frozen=True)
class Happening:
    """What is so from a look on, and what happens in it; None: as before, or nothing."""

    looks: int
    new: str | None
    stale: bool | None
    wanted: str | None
    warm: int | None
    stable_warm: int | None
    verb: str | None
    closed: bool
    moved: int | None
    lost: str | None
    plan: int | None


def rarely(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(st.none(), st.none(), st.none(), strategy)


happenings = st.lists(
    st.builds(
        Happening,
        looks=st.integers(1, 8),
        new=rarely(st.sampled_from(sorted(STATISTICS))),
        stale=rarely(st.booleans()),
        wanted=rarely(st.sampled_from(("v1", "v2", "v3"))),
        warm=rarely(st.integers(0, 10)),
        stable_warm=rarely(st.integers(0, 12)),
        verb=rarely(st.sampled_from(VERBS)),
        closed=st.sampled_from((False, False, False, True)),
        moved=rarely(st.integers(0, 100)),
        lost=rarely(st.sampled_from(("status", "last write"))),
        plan=rarely(st.integers(0, len(PLANS) - 1)),
    ),
    max_size=15,
)
some_rules = st.builds(
    ReleaseRules,
    steps=st.sampled_from(PLANS),
    checks=st.just(RULES.checks),
    hold=st.sampled_from((0.0, 30.0, 60.0)),
    min_requests=st.sampled_from((0, 100)),
    on_failure=st.sampled_from(TroubleRule),
    on_inconclusive=st.sampled_from(TroubleRule),
    max_duration=st.sampled_from((500.0, 86_400.0)),
    drain=st.sampled_from((0.0, 60.0)),
)


@dataclass
class Step:
    """One look: the state before it, what was seen, and what came of it."""

    rules: ReleaseRules
    before: ReleaseState | None
    seen: ReleaseObservation
    decision: ReleaseDecision
    after: ReleaseState


def played(rules: ReleaseRules, events: Iterable[Happening]) -> list[Step]:
    """Return every look of a history."""
    cluster, steps, earlier = ReleaseCluster(rules=rules), [], IDLE
    for number, event in enumerate(events):
        _happen(cluster, event, earlier)
        for turn in range(event.looks):
            action = None
            if event.verb and not turn:
                action = ReleaseAction(f"{number}", event.verb, "ops")
            before = cluster.state
            earlier = before or earlier
            seen = cluster.observation(action=action, may_progress=not event.closed)
            decision = cluster.look(action=action, may_progress=not event.closed)
            steps.append(Step(cluster.rules, before, seen, decision, cluster.state))
    return steps


def _happen(cluster: ReleaseCluster, event: Happening, earlier: ReleaseState) -> None:
    if event.new is not None:
        cluster.new = STATISTICS[event.new]
    if event.stale is not None:
        cluster.delay = 500.0 if event.stale else 5.0
    if event.warm is not None:
        cluster.warm["v2"] = cluster.warm["v3"] = event.warm
    if event.stable_warm is not None:
        cluster.warm["v1"] = event.stable_warm
    if event.moved is not None:
        live = {"v1": 100 - event.moved, "v2": event.moved}
        cluster.live = {version: weight for version, weight in live.items() if weight}
    if event.plan is not None:
        cluster.rules = replace(cluster.rules, steps=PLANS[event.plan])
    if event.lost:
        cluster.state = None if event.lost == "status" else earlier
    cluster.wanted = event.wanted or cluster.wanted


@settings(max_examples=200, deadline=None)
@given(rules=some_rules, events=happenings)
def test_whatever_happens(rules: ReleaseRules, events: list[Happening]):
    for step in played(rules, events):
        _weights_sum_up(step)
        _no_weight_is_above_what_is_carried(step)
        _steps_come_one_by_one(step)
        _a_blocked_version_gets_nothing(step)
        _an_abort_is_one_decision(step)
        _a_pause_lifts_nothing(step)
        _nothing_goes_up_without_fresh_evidence(step)
        _a_closed_window_lets_no_new_step_begin(step)
        _the_stable_version_keeps_its_replicas(step)


def _weights_sum_up(step: Step) -> None:
    weights = step.decision.weights.values()
    assert sum(weights) == 100 and min(weights) >= 0 and 0 <= step.decision.mirror <= 100


def _no_weight_is_above_what_is_carried(step: Step) -> None:
    after = step.after
    if after.is_under_way:
        most = carried_weight(after.stable, after.version, step.seen)
        assert step.decision.weights[after.version] + step.decision.mirror <= most


def _steps_come_one_by_one(step: Step) -> None:
    before, after = step.before, step.after
    if before is None or not _is_one_release(step) or after.is_forced or before.plan != after.plan:
        return
    assert after.step <= before.step + 1
    assert after.reached <= before.reached + 1


def _a_blocked_version_gets_nothing(step: Step) -> None:
    for block in step.after.blocked:
        assert step.decision.weights.get(block.version, 0) == 0 or block.version == step.after.stable


def _an_abort_is_one_decision(step: Step) -> None:
    action = step.seen.action
    if action and action.verb == "abort" and ReleaseReason.ACTION_IGNORED not in step.decision.reasons:
        assert step.decision.weights[step.after.stable] == 100 and step.decision.mirror == 0
        assert step.after.phase is P.ABORTED and step.after.block(step.after.version)


def _a_pause_lifts_nothing(step: Step) -> None:
    if step.before and step.before.phase is step.after.phase is P.PAUSED and _is_one_release(step):
        assert step.after.weight <= step.before.weight and step.after.stable == step.before.stable


def _nothing_goes_up_without_fresh_evidence(step: Step) -> None:
    """A step that has not been reached before begins by a person's promotion, as the first one, or on statistics of
    the weights before it, which say that they are good."""
    before, after = step.before, step.after
    if before is None or not _is_one_release(step) or after.is_forced or before.plan != after.plan:
        return
    if after.reached > max(before.reached, 0):
        assert step_statistics(before, step.seen) is not None
        assert step.seen.statistics.new in (GOOD, FEW)
        assert step.rules.min_requests == 0 or step.seen.statistics.new is GOOD


def _a_closed_window_lets_no_new_step_begin(step: Step) -> None:
    if step.before and _is_one_release(step) and not step.seen.may_progress and step.before.plan == step.after.plan:
        assert step.after.reached <= step.before.reached


def _the_stable_version_keeps_its_replicas(step: Step) -> None:
    if step.after.is_under_way and (step.seen.may_progress or step.after.weight):
        seen = step.seen.replicas_of(step.after.stable).replicas
        assert step.decision.least_replicas[step.after.stable] >= seen


def _is_one_release(step: Step) -> bool:
    """Whether the same release was under way before and after."""
    before, after = step.before, step.after
    return bool(
        before
        and before.is_under_way
        and after.is_under_way
        and (before.stable, before.version, before.started > 0) == (after.stable, after.version, after.started > 0)
    )


@settings(max_examples=100, deadline=None)
@given(rules=some_rules, events=happenings)
def test_a_state_that_was_written_and_read_decides_the_same(rules: ReleaseRules, events: list[Happening]):
    for step in played(rules, events):
        if step.before is not None:
            read = _read(json.loads(json.dumps(dataclasses.asdict(step.before))))
            assert read == step.before
            assert decide(step.rules, read, step.seen) == (step.decision, step.after)


@settings(max_examples=100, deadline=None)
@given(rules=some_rules, events=happenings)
def test_the_same_look_once_more_goes_no_further(rules: ReleaseRules, events: list[Happening]):
    """Two leaders for a moment, or a pass that is repeated: what was decided stands, and a step is not skipped."""
    for step in played(rules, events):
        again, state = decide(step.rules, step.after, step.seen)
        if step.after.is_under_way and state.is_under_way and step.before and _is_one_release(step):
            assert state.reached <= max(step.after.reached, step.before.reached + 1) or state.is_forced
            assert sum(again.weights.values()) == 100


@settings(max_examples=60, deadline=None)
@given(
    rules=some_rules.filter(lambda rules: rules.max_duration > 1000 and rules.steps != PLANS[1]),
    lost=st.sets(st.integers(1, 60), max_size=6),
    at=st.integers(0, 10),
)
def test_a_good_version_goes_up_only_and_arrives_however_often_leaders_change(rules, lost, at):
    cluster, states = ReleaseCluster(rules=rules), [IDLE]
    weights = []
    for look in range(400):
        if look in lost:
            cluster.state = states[max(0, len(states) - 1 - at)] if at else None
        weights.append(cluster.look().weights["v2"])
        states.append(cluster.state)
        if cluster.state.phase is P.DONE and cluster.state.stable == "v2":
            break
    assert cluster.live == {"v2": 100}
    if not lost:
        assert weights == sorted(weights)


@settings(max_examples=60, deadline=None)
@given(
    rules=some_rules.filter(lambda rules: rules.steps),
    new=st.sampled_from((FAILING, SLOW)),
    lost=st.sets(st.integers(1, 60), max_size=6),
)
def test_a_bad_version_never_gets_everything_however_often_leaders_change(rules, new, lost):
    cluster = ReleaseCluster(rules=rules, new=new)
    states = [IDLE]
    for look in range(100):
        if look in lost:
            cluster.state = states[len(states) // 2]
        assert cluster.look().weights["v2"] < 100
        states.append(cluster.state)
    assert cluster.state.phase in (P.ABORTED, P.HOLDING)


def _read(found: dict) -> ReleaseState:
    results = tuple(CheckResult(**one | {"verdict": CheckVerdict(one["verdict"])}) for one in found["results"])
    blocked = tuple(BlockedVersion(**one) for one in found["blocked"])
    typed = {"phase": ReleasePhase(found["phase"]), "reason": ReleaseReason(found["reason"])}
    return ReleaseState(
        **found | typed | {"results": results, "blocked": blocked, "approved": tuple(found["approved"])}
    )


def test_the_histories_reach_every_phase():
    """Else the properties above would say little."""
    found: set[ReleasePhase] = set()

    @settings(max_examples=600, deadline=None, database=None, derandomize=True)
    @given(rules=some_rules, events=happenings)
    def visit(rules: ReleaseRules, events: list[Happening]) -> None:
        found.update(step.after.phase for step in played(rules, events))

    visit()
    assert found == set(P)
