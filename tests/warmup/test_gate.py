from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from istio_templates.workloads.warm_gate import WarmupResult
from warmup import gate
from warmup.engine import CaseResult, WarmupOutcome
from warmup.gate import GateState
from warmup.pods import GatedPod, WarmupClaim

LABELS = (("app", "ranker"),)
CLAIM = WarmupClaim("search", "ranker", "gate", (LABELS,), "{}", "plan-1")
GOOD = WarmupOutcome("Verified", "1 cases passed", (CaseResult("a", 1, 20, 0, 3.0, 0.01, 0.012, "passed"),), 4.0)
LATE = WarmupOutcome("TimedOut", "after 1m: the server was not ready")
WRONG = WarmupOutcome("PlanWrong", "400: shape mismatch")


def pod(name="ranker-1", container="c1", condition=None, verdict=None, **parts) -> GatedPod:
    base = {
        "namespace": "search", "name": name, "uid": f"uid-{name}", "gated": True, "serves": False,
        "labels": frozenset(LABELS), "leaving": False, "address": "10.0.0.1", "node": "node-1",
    }  # fmt: skip
    return GatedPod(**{**base, **parts}, container=container, condition=condition, verdict=verdict)


def verified(found: GatedPod, **parts) -> GatedPod:
    base = {"uid": found.uid, "container": found.container, "plan": "plan-1", "result": "Verified", "at": "now"}
    return replace(found, verdict=WarmupResult(**{**base, **parts}), condition=("True", "Verified"))


def decide(pods, claims=(CLAIM,), state=None, now=100.0):
    return gate.decide(state or GateState(), pods, claims, now)


def test_a_new_pod_is_closed_and_begun_with():
    decision, state = decide([pod()])
    assert [(turn.open, turn.reason) for turn in decision.turns] == [(False, "Warming")]
    assert [found.name for found, _ in decision.begin] == ["ranker-1"]
    assert not decide([pod(condition=("False", "Warming"))], state=state)[0].begin


def test_a_pod_without_a_running_container_waits():
    decision, state = decide([pod(container=None)])
    assert [(turn.open, turn.reason) for turn in decision.turns] == [(False, "WaitingForContainer")]
    assert not decision.begin
    assert not state.works


def test_a_verified_pod_is_left_alone():
    decision, state = decide([verified(pod())])
    assert (decision.turns, decision.begin, state.works) == ((), (), {})


def test_a_container_that_restarts_in_place_is_closed_at_once_and_warmed_again():
    before = verified(pod())
    decision, _ = decide([replace(before, container=None)])
    assert [(turn.open, turn.reason) for turn in decision.turns] == [(False, "Restarted")]
    decision, _ = decide([replace(before, container="c2")])
    assert [(turn.open, turn.reason) for turn in decision.turns] == [(False, "Restarted")]
    assert [found.container for found, _ in decision.begin] == ["c2"]


def test_a_verdict_of_another_pod_of_the_same_name_does_not_hold():
    found = verified(pod(), uid="another")
    assert not found.holds
    assert [turn.open for turn in decide([found])[0].turns] == [False]


def test_a_gate_that_somebody_opened_is_closed_until_it_is_proved():
    decision, _ = decide([pod(condition=("True", "Hand"))])
    assert [(turn.open, turn.reason) for turn in decision.turns] == [(False, "Unproved")]
    assert decision.begin


def test_a_verified_pod_stays_open_when_the_plan_changes():
    decision, _ = decide([verified(pod())], claims=[replace(CLAIM, hash="plan-2")])
    assert (decision.turns, decision.begin) == ((), ())


def test_a_changed_plan_stops_a_warm_up_and_begins_anew():
    _, state = decide([pod()])
    decision, _ = decide([pod()], claims=[replace(CLAIM, hash="plan-2")], state=state)
    assert [claim.hash for _, claim in decision.begin] == ["plan-2"]


def test_a_pod_that_goes_is_no_longer_warmed():
    _, state = decide([pod()])
    assert decide([replace(pod(), leaving=True)], state=state)[0].stop == {"uid-ranker-1"}
    assert decide([], state=state)[0].stop == {"uid-ranker-1"}


def test_a_pod_that_nobody_cares_for_is_released():
    decision, state = decide([pod()], claims=[])
    assert (decision.turns, decision.wake_at) == ((), 110.0)
    decision, _ = decide([pod()], claims=[], state=state, now=110.0)
    assert [(turn.open, turn.reason) for turn in decision.turns] == [(True, "Released")]
    assert decide([pod(condition=("True", "Released"))], claims=[])[0].turns == ()


def test_a_pod_whose_plan_is_about_to_be_written_is_not_released():
    _, state = decide([pod()], claims=[])
    decision, state = decide([pod()], state=state, now=105.0)
    assert [turn.open for turn in decision.turns] == [False]
    assert decide([pod()], claims=[], state=state, now=112.0)[0].turns == ()


def test_a_released_pod_serves_on_while_it_is_warmed_for_a_model_that_came():
    (turn,) = decide([pod()], claims=[], state=GateState(uncared={"uid-ranker-1": 0.0}))[0].turns
    found = pod(condition=("True", "Released"), verdict=turn.verdict)
    decision, state = decide([found])
    assert (decision.turns, len(decision.begin)) == ((), 1)
    assert decide([found], state=gate.ended(state, found, LATE, None, 101))[0].turns == ()
    opens = gate.opening(found, CLAIM, GOOD, "hold", "now")
    decision, _ = decide([found], state=gate.ended(state, found, GOOD, opens, 101), now=102)
    assert [(turn.open, turn.reason) for turn in decision.turns] == [(True, "Verified")]


def test_a_released_pod_whose_container_is_another_by_now_is_closed():
    (turn,) = decide([pod()], claims=[], state=GateState(uncared={"uid-ranker-1": 0.0}))[0].turns
    found = pod(container="c2", condition=("True", "Released"), verdict=turn.verdict)
    assert [(turn.open, turn.reason) for turn in decide([found])[0].turns] == [(False, "Restarted")]


def test_what_opens_a_gate_is_kept_until_it_has_arrived():
    found = pod()
    _, state = decide([found])
    opens = gate.opening(found, CLAIM, GOOD, "hold", "now")
    state = gate.ended(state, found, GOOD, opens, 104.0)
    decision, state = decide([found], state=state, now=104.1)
    assert [(turn.open, turn.reason) for turn in decision.turns] == [(True, "Verified")]
    assert not decision.begin
    arrived = replace(found, verdict=opens.verdict, condition=("True", "Verified"))
    assert decide([arrived], state=state, now=104.2)[0].turns == ()


def test_a_verdict_for_a_container_that_has_gone_meanwhile_opens_nothing():
    found = pod()
    _, state = decide([found])
    restarted = replace(found, container="c2")
    _, state = decide([restarted], state=state)
    state = gate.ended(state, found, GOOD, gate.opening(found, CLAIM, GOOD, "hold", "now"), 104.0)
    assert not any(turn.open for turn in decide([restarted], state=state, now=105)[0].turns)


def test_what_failed_is_held_and_tried_again_after_growing_pauses():
    found, now, pauses = pod(), 100.0, []
    _, state = decide([found], now=now)
    for _ in range(8):
        state = gate.ended(state, found, LATE, gate.opening(found, CLAIM, LATE, "hold", "now"), now)
        decision, state = decide([found], state=state, now=now)
        assert [(turn.open, turn.reason) for turn in decision.turns] == [(False, "TimedOut")]
        pauses.append(decision.wake_at - now)
        now = decision.wake_at
        decision, state = decide([found], state=state, now=now)
        assert decision.begin
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600]


def test_a_wrong_plan_opens_nothing_whatever_it_says_of_failures_and_is_not_tried_again():
    for policy in ("hold", "admit", "restart"):
        assert gate.opening(pod(), CLAIM, WRONG, policy, "now") is None
    _, state = decide([pod()])
    state = gate.ended(state, pod(), WRONG, None, 101.0)
    decision, _ = decide([pod()], state=state, now=10_000)
    assert (decision.begin, decision.wake_at) == ((), None)
    assert decide([pod()], claims=[replace(CLAIM, hash="plan-2")], state=state, now=10_000)[0].begin


def test_a_plan_may_admit_what_was_not_fast_enough():
    turn = gate.opening(pod(), CLAIM, LATE, "admit", "now")
    assert (turn.open, turn.reason) == (True, "Admitted")
    assert gate.opening(pod(), CLAIM, LATE, "hold", "now") is None


def test_a_pod_without_a_gate_is_warmed_once_before_it_serves_and_never_turned():
    delayed = replace(CLAIM, mode="fixedDelay")
    decision, state = decide([pod(gated=False)], claims=[delayed])
    assert (decision.turns, len(decision.begin)) == ((), 1)
    state = gate.ended(
        state, pod(gated=False), LATE, gate.opening(pod(gated=False), delayed, LATE, "admit", "now"), 101
    )
    assert not decide([pod(gated=False)], claims=[delayed], state=state, now=9999)[0].begin
    assert not decide([pod(gated=False, serves=True)], claims=[delayed])[0].begin


@given(
    conditions=st.sampled_from([None, ("False", "Warming"), ("True", "Verified"), ("True", "Hand")]),
    container=st.sampled_from([None, "c1", "c2"]),
    judged=st.sampled_from([None, "c1", "c2"]),
    result=st.sampled_from(["Verified", "Admitted", "Failed"]),
    outcome=st.sampled_from([None, GOOD, LATE, WRONG]),
)
def test_a_gate_is_open_only_over_the_container_that_was_found_warm(conditions, container, judged, result, outcome):
    verdict = judged and WarmupResult("uid-ranker-1", judged, "plan-1", result, "now")
    found = pod(container=container, condition=conditions, verdict=verdict)
    decision, state = decide([found])
    if outcome is not None and decision.begin:
        opens = gate.opening(found, CLAIM, outcome, "hold", "now")
        decision, state = decide([found], state=gate.ended(state, found, outcome, opens, 101), now=102)
    opened = found.is_open
    verdict_now = found.verdict
    for turn in decision.turns:
        opened, verdict_now = turn.open, turn.verdict or verdict_now
    if opened:
        assert container is not None
        assert verdict_now.container == container
        assert verdict_now.result in ("Verified", "Admitted")
