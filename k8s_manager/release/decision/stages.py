"""What each phase of a release does at a look: prepare a step, run it, hold, pause, drain. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from k8s_manager.release.decision.capacity import carried_weight, needed_replicas
from k8s_manager.release.decision.checks import check_results, source_of, step_statistics
from k8s_manager.release.decision.observation import ReleaseObservation
from k8s_manager.release.decision.rules import LAST, ReleaseRules, ReleaseStep, TroubleRule
from k8s_manager.release.decision.state import CheckVerdict, ReleasePhase, ReleaseReason, ReleaseState, share_text
from k8s_manager.release.decision.transitions import STOPPED, aborted, finished, resumed

PATIENCE, LEAST_PATIENCE = 3.0, 300.0
"""How many times its hold (or how many seconds, where that is more) a step waits for evidence after its hold, before
`on_inconclusive: abort` aborts."""


def next_state(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> ReleaseState:
    """Return the state after what is seen, for a release that is under way."""
    return _NEXT[state.phase](rules, state, seen)


def _prepare(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> ReleaseState:
    """Wait for the replicas of a step, and begin it, if what the step before has shown still holds."""
    if not state.is_forced:
        state = _measured(rules, state, seen)
        if failed := _failed(rules, state, seen):
            return failed
    if overdue := _overdue(rules, state, seen):
        return overdue
    is_first = not state.step or state.step <= state.reached
    if not is_first and not state.is_forced and (question := _question(rules, state, seen)):
        message = f"Version {state.version} stays at {state.share}: {question[1]}."
        return replace(state, reason=question[0], message=message)
    return _begun(rules, state, seen)


def _run(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> ReleaseState:
    """Let a step last, measure it, and go on when it has shown enough."""
    state = _measured(rules, state, seen)
    if failed := _failed(rules, state, seen) or _overdue(rules, state, seen):
        return failed
    if seen.at - state.since < rules.hold_of(state.step):
        message = f"Version {state.version} has {state.share} for {seen.at - state.since:.0f} s."
        return replace(resumed(state, rules), reason=ReleaseReason.MEASURING, message=message)
    if question := _question(rules, state, seen):
        return _undecided(rules, state, seen, *question)
    if rules.step(state.step).approval and state.step not in state.approved:
        message = f"The step at {state.share} has passed its checks; approve it, or abort."
        phase = ReleasePhase.AWAITING_APPROVAL
        return replace(state, phase=phase, reason=ReleaseReason.NOT_APPROVED, message=message)
    return _begun(rules, resumed(replace(state, step=state.step + 1, begun=False), rules), seen)


def _hold(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> ReleaseState:
    """Stay after a failure, until a person goes on; for want of evidence until there is some."""
    if state.reason in STOPPED:
        return state
    return _run(rules, state, seen) if state.begun else _prepare(rules, resumed(state, rules), seen)


def _pause(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> ReleaseState:
    """Keep the weights; what the checks say is shown, and leads to nothing."""
    return _measured(rules, state, seen)


def _drain(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> ReleaseState:
    """Keep the stable version's replicas for a while after it has lost its requests; a failure still returns to them.
    There is nothing to compare with any more, so only checks with bounds of their own can fail."""
    if not state.is_forced:
        state = _measured(rules, state, seen)
        if failed := _failed(rules, state, seen):
            return failed
    if seen.at - state.since >= rules.drain:
        return finished(state, seen.at)
    left = rules.drain - (seen.at - state.since)
    message = f"Version {state.version} has 100 %; {state.stable} keeps its replicas for another {left:.0f} s."
    return replace(state, reason=ReleaseReason.DRAINING, message=message)


_NEXT: Mapping[ReleasePhase, Callable[[ReleaseRules, ReleaseState, ReleaseObservation], ReleaseState]] = {
    ReleasePhase.PREPARING: _prepare,
    ReleasePhase.PROMOTING: _prepare,
    ReleasePhase.RUNNING: _run,
    ReleasePhase.AWAITING_APPROVAL: _run,
    ReleasePhase.HOLDING: _hold,
    ReleasePhase.PAUSED: _pause,
    ReleasePhase.DRAINING: _drain,
}


def _begun(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> ReleaseState:
    """Begin a step if its replicas are warm and nothing hinders it; else say what it waits for."""
    step = rules.step(state.step)
    needed, found = replicas_for(step, state, seen), seen.replicas_of(state.version)
    share = share_text(step.weight, step.mirror)
    if not seen.may_progress and state.step > state.reached:
        message = seen.hindrance or "No window is open; wait for the next one, or abort."
        return replace(state, reason=ReleaseReason.WINDOW, message=message)
    if found.most is not None and needed > found.most:
        message = (
            f"Version {state.version} needs {needed} replicas for {share}, and may have {found.most}; "
            "raise its maximum or the tenant's quota, or abort."
        )
        return replace(state, reason=ReleaseReason.QUOTA, message=message)
    if found.warm < needed or carried_weight(state.stable, state.version, seen) < step.weight + step.mirror:
        message = f"Version {state.version} has {found.warm} of {needed} warm replicas for {share}; wait."
        return replace(state, reason=ReleaseReason.WARMING, message=message)
    state = replace(state, weight=step.weight, begun=True, reached=max(state.reached, state.step))
    state = replace(state, since=seen.at, results=())
    message = f"Version {state.version} gets {share}."
    reason = ReleaseReason.MEASURING if step is not LAST else ReleaseReason.DRAINING
    return resumed(replace(state, reason=reason, message=message), rules)


def _measured(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> ReleaseState:
    index = step_in_force(state)
    if index < 0 or not state.weight + rules.step(index).mirror:
        return replace(state, results=())
    return replace(state, results=check_results(rules, index, state, seen))


def _failed(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> ReleaseState | None:
    """Return the state after a failed check; None where none has failed."""
    failed = [found for found in state.results if found.verdict is CheckVerdict.FAIL]
    if not failed:
        return None
    message = (
        f"Version {state.version} at {state.share} failed: {'; '.join(f'{f.name}, {f.sentence}' for f in failed)}."
    )
    return _stopped(rules.on_failure, state, ReleaseReason.CHECK_FAILED, message, seen.at)


def _overdue(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> ReleaseState | None:
    """Return the state of a release that took too long, or longer than its window where that ends it; None where it
    did not."""
    if rules.on_window_end is TroubleRule.ABORT and seen.is_window_over and state.weight:
        message = f"The window ended with version {state.version} at {state.weight} %. {seen.hindrance}"
        return aborted(state, ReleaseReason.WINDOW, message, seen.at)
    if seen.at - state.started <= rules.max_duration:
        return None
    message = f"The release took more than {rules.max_duration:.0f} s; last: {state.message}"
    return _stopped(rules.on_inconclusive, state, ReleaseReason.TOO_LONG, message, seen.at)


def _stopped(rule: TroubleRule, state: ReleaseState, reason: ReleaseReason, message: str, at: float) -> ReleaseState:
    if rule is TroubleRule.ABORT:
        return aborted(state, reason, message, at)
    message = f"{message} Resume, promote, or abort it."
    return replace(state, phase=ReleasePhase.HOLDING, reason=reason, message=message)


def _question(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> tuple[ReleaseReason, str] | None:
    """Return what a step has not shown yet; None where it has shown enough. Rules that ask nothing of requests need no
    statistics."""
    least = rules.min_requests_of(step_in_force(state))
    if least or rules.statistical_checks:
        found = step_statistics(state, seen)
        if found is None:
            return ReleaseReason.STATISTICS_MISSING, f"statistics are missing or old; see that {source_of(state)}"
        requests = found.of_new(state.weight).requests
        if requests < least:
            return ReleaseReason.TOO_FEW_REQUESTS, f"{requests} of at least {least} requests"
    open_checks = [found for found in state.results if found.verdict is not CheckVerdict.PASS]
    if open_checks:
        return ReleaseReason.INCONCLUSIVE, "; ".join(f"{found.name}, {found.sentence}" for found in open_checks)
    return None


def _undecided(
    rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation, reason: ReleaseReason, what: str
) -> ReleaseState:
    """Return the state of a step that waits for evidence, or has waited long enough."""
    message = f"Version {state.version} stays at {state.share}: {what}."
    hold = rules.hold_of(state.step)
    if rules.on_inconclusive is TroubleRule.ABORT:
        if seen.at - state.since > hold + max(PATIENCE * hold, LEAST_PATIENCE):
            return aborted(state, reason, message, seen.at)
        return replace(resumed(state, rules), reason=reason, message=message)
    return replace(state, phase=ReleasePhase.HOLDING, reason=reason, message=message)


def step_in_force(state: ReleaseState) -> int:
    """Return the step whose weight and mirror are in force, which is the one before that which is prepared; -1 where
    none is."""
    return state.step if state.begun else state.step - 1


def replicas_for(step: ReleaseStep, state: ReleaseState, seen: ReleaseObservation) -> int:
    """Return how many warm replicas the new version needs for a step."""
    return needed_replicas(step.weight + step.mirror, state.stable, state.version, state.kept, seen)
