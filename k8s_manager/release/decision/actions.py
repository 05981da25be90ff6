"""What people and programs ask of a release: promote, pause, resume, abort, retry, approve. Pure."""

from dataclasses import replace

from k8s_manager.release.decision.observation import ReleaseAction, ReleaseObservation, ReleaseVerb
from k8s_manager.release.decision.rules import ReleaseRules
from k8s_manager.release.decision.state import ReleasePhase, ReleaseReason, ReleaseState
from k8s_manager.release.decision.transitions import aborted, resumed, started


def acted(
    rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation
) -> tuple[ReleaseState, tuple[ReleaseReason, ...]]:
    """Return the state after an action that was not handled yet, and whether it did nothing."""
    action = seen.action
    if action is None or action.id == state.handled:
        return state, ()
    state = replace(state, handled=action.id)
    found = _done(rules, state, seen, action) if action.version in (None, seen.wanted) else None
    return (found, ()) if found else (state, (ReleaseReason.ACTION_IGNORED,))


def _done(
    rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation, action: ReleaseAction
) -> ReleaseState | None:
    """Return the state after an action; None where there is nothing to do it to."""
    if action.verb == ReleaseVerb.RETRY:
        return _retried(rules, state, seen, action)
    if not state.is_under_way:
        return None
    match action.verb:
        case ReleaseVerb.PROMOTE:
            return _promoted(rules, state, action, seen.at)
        case ReleaseVerb.PAUSE:
            return _paused(state, action, seen.at)
        case ReleaseVerb.RESUME:
            return _resumed(rules, state, action, seen.at)
        case ReleaseVerb.APPROVE:
            return _approved(rules, state)
        case ReleaseVerb.ABORT:
            return aborted(state, ReleaseReason.BY_HAND, f"Aborted by {_who(action)}", seen.at)


def _promoted(rules: ReleaseRules, state: ReleaseState, action: ReleaseAction, at: float) -> ReleaseState | None:
    """Go to 100 % without the steps between and without checks, as soon as the replicas for it are warm."""
    if state.begun and state.step >= rules.last:
        return None
    message = f"Promoted by {_who(action)}"
    state = replace(state, step=rules.last, begun=False, is_forced=True, started=at, reason=ReleaseReason.BY_HAND)
    return resumed(replace(state, message=message), rules)


def _paused(state: ReleaseState, action: ReleaseAction, at: float) -> ReleaseState | None:
    if state.phase is ReleasePhase.PAUSED:
        return None
    message = f"Paused by {_who(action)} Resume it, or abort."
    return replace(state, phase=ReleasePhase.PAUSED, paused=at, reason=ReleaseReason.BY_HAND, message=message)


def _resumed(rules: ReleaseRules, state: ReleaseState, action: ReleaseAction, at: float) -> ReleaseState | None:
    """Go on after a pause, whose time does not count; or after a stop, with new statistics."""
    message = f"Resumed by {_who(action)}"
    if state.phase is ReleasePhase.PAUSED:
        state = replace(state, started=state.started + at - state.paused)
    elif state.phase is ReleasePhase.HOLDING:
        state = replace(state, started=at, since=at, results=())
    else:
        return None
    return resumed(replace(state, reason=ReleaseReason.BY_HAND, message=message), rules)


def _retried(
    rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation, action: ReleaseAction
) -> ReleaseState | None:
    """Take the block from the wanted version, and begin with it; where the release has stopped, go on."""
    if state.is_under_way:
        return _resumed(rules, state, action, seen.at) if state.phase is ReleasePhase.HOLDING else None
    if not state.block(seen.wanted):
        return None
    blocked = tuple(found for found in state.blocked if found.version != seen.wanted)
    state = replace(state, blocked=blocked)
    return started(rules, state, seen.wanted, seen.at) if seen.wanted != state.stable else state


def _approved(rules: ReleaseRules, state: ReleaseState) -> ReleaseState | None:
    """Approve the step that is under way, which may then end; not one that has not begun: nothing is known of it."""
    if not state.begun or not rules.step(state.step).approval:
        return None
    return replace(state, approved=tuple(sorted({*state.approved, state.step})))


def _who(action: ReleaseAction) -> str:
    return f"{action.by}: {action.reason}." if action.reason else f"{action.by}."
