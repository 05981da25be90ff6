"""Where a document directs a release: begin, go elsewhere, return. Pure."""

from dataclasses import replace

from k8s_manager.release.decision.observation import ReleaseObservation
from k8s_manager.release.decision.rules import WHOLE, ReleaseRules
from k8s_manager.release.decision.state import BlockedVersion, ReleasePhase, ReleaseReason, ReleaseState
from k8s_manager.release.decision.transitions import STOPPED, aborted, finished, resumed, started

Notes = tuple[ReleaseReason, ...]


def directed(rules: ReleaseRules, state: ReleaseState | None, seen: ReleaseObservation) -> tuple[ReleaseState, Notes]:
    """Return the state as the document directs it, and what was noticed: a release that begins, goes elsewhere, or
    returns without a block, since its document no longer asks for it."""
    notes: Notes = ()
    if state is None:
        state, notes = _adopted(rules, seen)
    if state.is_under_way and seen.wanted == state.version:
        if state.plan == rules.plan:
            return state, notes
        return _replanned(rules, state, seen), (*notes, ReleaseReason.STEPS_CHANGED)
    if state.is_under_way:
        notes = (*notes, ReleaseReason.DOCUMENT_CHANGED)
        state = _left(state, seen)
    if seen.wanted == state.stable:
        return _settled(state), notes
    if block := state.block(seen.wanted):
        message = f"Version {seen.wanted} is blocked: {block.reason} Retry it, or point traffic at another version."
        return replace(state, reason=ReleaseReason.VERSION_BLOCKED, message=message), notes
    return started(rules, state, seen.wanted, seen.at), notes


def _adopted(rules: ReleaseRules, seen: ReleaseObservation) -> tuple[ReleaseState, Notes]:
    """Return a state from live weights, and from what was recorded: the status was lost, or there never was one. The
    step goes on that has at most the weight that is live, from its beginning; a version that is blocked has none."""
    state, notes = _found(rules, seen)
    if (record := seen.record) is None:
        return state, notes
    blocked = tuple(BlockedVersion(one.version, one.reason, one.at) for one in record.blocked)
    state = replace(state, blocked=tuple(one for one in blocked if one.version != state.stable))
    if state.is_under_way and (block := state.block(state.version)):
        state = aborted(state, ReleaseReason.VERSION_BLOCKED, block.reason, seen.at, blocks=False)
    return replace(state, handled=record.handled), (*notes, ReleaseReason.STATE_LOST)


def _found(rules: ReleaseRules, seen: ReleaseObservation) -> tuple[ReleaseState, Notes]:
    live = seen.live
    if not any(live.values()) and seen.record is not None and seen.record.stable in seen.versions:
        live = {seen.record.stable: WHOLE}
    others = {version: weight for version, weight in live.items() if weight > 0 and version != seen.wanted}
    if not others:
        return ReleaseState(seen.wanted, seen.wanted, ReleasePhase.DONE, is_live=True, since=seen.at), ()
    stable = min(others, key=lambda version: (-others[version], version))
    idle = ReleaseState(stable, stable, ReleasePhase.DONE, since=seen.at)
    weight = live.get(seen.wanted, 0)
    if not weight:
        return idle, ()
    state = replace(started(rules, idle, seen.wanted, seen.at), weight=weight)
    return _at_step_below(rules, state, seen.at), (ReleaseReason.STATE_LOST,)


def _at_step_below(rules: ReleaseRules, state: ReleaseState, at: float) -> ReleaseState:
    """Return the state in the last step that has at most the present weight, or before the first one."""
    steps = [index for index in range(rules.last) if 0 < rules.step(index).weight <= state.weight]
    if not steps:
        return resumed(replace(state, step=0, reached=-1, begun=False, since=at), rules)
    weight = rules.step(steps[-1]).weight
    return resumed(replace(state, step=steps[-1], reached=steps[-1], begun=True, weight=weight, since=at), rules)


def _replanned(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> ReleaseState:
    """Return the state under other steps. One that is paused, or stopped, stays so; approvals are of the old steps."""
    state = replace(state, plan=rules.plan)
    if state.weight == WHOLE or state.is_forced:
        return replace(state, step=rules.last, reached=rules.last if state.begun else -1)
    phase = state.phase
    state = _at_step_below(rules, replace(state, approved=(), results=()), seen.at)
    if phase is ReleasePhase.PAUSED or (phase is ReleasePhase.HOLDING and state.reason in STOPPED):
        return replace(state, phase=phase)
    return state


def _settled(state: ReleaseState) -> ReleaseState:
    """Return the state of a model whose document asks for the stable version, as it did not while that was blocked."""
    if state.reason is not ReleaseReason.VERSION_BLOCKED:
        return state
    return replace(state, reason=ReleaseReason.COMPLETE, message=f"Version {state.stable} answers all requests.")


def _left(state: ReleaseState, seen: ReleaseObservation) -> ReleaseState:
    """Return the state of a release that its document does not ask for any more. Where its version had everything
    already, another release begins from that one."""
    if state.phase is ReleasePhase.DRAINING and seen.wanted != state.stable:
        return finished(state, seen.at)
    message = f"The document asks for {seen.wanted} instead of {state.version}."
    return aborted(state, ReleaseReason.DOCUMENT_CHANGED, message, seen.at, blocks=False)
