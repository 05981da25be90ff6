"""The changes of a release that more than one part of the decision makes: begin, abort, finish, resume. Pure."""

from dataclasses import replace

from k8s_manager.release.decision.rules import ReleaseRules
from k8s_manager.release.decision.state import BlockedVersion, ReleasePhase, ReleaseReason, ReleaseState

STOPPED = (ReleaseReason.CHECK_FAILED, ReleaseReason.TOO_LONG)
"""Why a release holds until a person goes on with it; where it holds for other reasons it goes on by evidence."""


def started(rules: ReleaseRules, state: ReleaseState, version: str, at: float) -> ReleaseState:
    """Return the state of a release to a version that begins now, from the stable version."""
    return ReleaseState(
        stable=state.stable,
        version=version,
        phase=ReleasePhase.PREPARING if rules.last else ReleasePhase.PROMOTING,
        started=at,
        since=at,
        plan=rules.plan,
        reason=ReleaseReason.WARMING,
        message=f"A release from {state.stable} to {version} begins.",
        handled=state.handled,
        blocked=state.blocked,
        previous=state.previous,
    )


def aborted(state: ReleaseState, reason: ReleaseReason, message: str, at: float, blocks: bool = True) -> ReleaseState:
    """Return the state of a release that has returned to the stable version; its version is blocked, or is not."""
    block = (BlockedVersion(state.version, message, at),) if blocks else ()
    blocked = tuple(found for found in state.blocked if found.version != state.version or not blocks)
    return replace(
        state,
        phase=ReleasePhase.ABORTED,
        begun=False,
        weight=0,
        mirror=0,
        since=at,
        is_forced=False,
        reason=reason,
        message=message,
        blocked=(*blocked, *block),
    )


def finished(state: ReleaseState, at: float) -> ReleaseState:
    """Return the state behind a release: what was new is stable."""
    message = f"Version {state.version} answers all requests."
    stable, previous = state.version, state.stable
    state = replace(state, stable=stable, phase=ReleasePhase.DONE, weight=0, begun=False, kept=0, since=at)
    return replace(state, is_forced=False, reason=ReleaseReason.COMPLETE, message=message, previous=previous)


def resumed(state: ReleaseState, rules: ReleaseRules) -> ReleaseState:
    """Return the state with the phase that its step is in."""
    last = state.step >= rules.last
    begun = ReleasePhase.DRAINING if last else ReleasePhase.RUNNING
    coming = ReleasePhase.PROMOTING if last else ReleasePhase.PREPARING
    return replace(state, phase=begun if state.begun else coming)
