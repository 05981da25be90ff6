"""Which weights the versions of a model get now, and why not others.

In order: what the document and people ask for, what the warm replicas carry, what the step's checks say. A release goes
up by one step at a time, and only on evidence of the present weights; down it goes at once. Everything it has to
remember stands in its state, so that a leader that begins with an old one, or with none, arrives at the same end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from k8s_manager.release.decision.actions import acted
from k8s_manager.release.decision.capacity import carried_weight
from k8s_manager.release.decision.course import directed
from k8s_manager.release.decision.observation import ReleaseObservation
from k8s_manager.release.decision.rules import ReleaseRules
from k8s_manager.release.decision.stages import next_state, replicas_for, step_in_force
from k8s_manager.release.decision.state import ReleasePhase, ReleaseReason, ReleaseState
from k8s_manager.release.decision.transitions import resumed

_CLOSED = (ReleasePhase.PAUSED, ReleasePhase.HOLDING)


@dataclass(frozen=True, slots=True)
class ReleaseDecision:
    """What to bring about: weights of all versions (per cent; they sum to 100), the share of requests (per cent) that
    is mirrored to the new version, and the least replicas of versions (those of others are their own affair). `reasons`
    say why, the present one first; `message` is the sentence to show."""

    weights: Mapping[str, int]
    mirror: int
    least_replicas: Mapping[str, int]
    reasons: tuple[ReleaseReason, ...]
    message: str


def decide(
    rules: ReleaseRules, state: ReleaseState | None, seen: ReleaseObservation
) -> tuple[ReleaseDecision, ReleaseState]:
    """Return what to bring about, and the state to write before, or with, the weights. No state: the status was lost,
    or the model is new."""
    state, notes = directed(rules, state, seen)
    state, more = acted(rules, state, seen)
    notes = (*notes, *more)
    if state.is_under_way:
        state, more = _looked_at(state, seen)
        state, lost = _carried(rules, state, seen)
        state = next_state(rules, state, seen)
        notes = (*notes, *more, *lost)
    weights = dict.fromkeys((*seen.live, *seen.versions), 0) | state.weights
    state = replace(state, is_live=_nonzero(weights) == _nonzero(seen.live))
    state = replace(state, mirror=_mirror(rules, state, seen))
    replicas = _least_replicas(rules, state, seen)
    reasons = tuple(dict.fromkeys((state.reason, *notes)))
    return ReleaseDecision(weights, state.mirror, replicas, reasons, state.message), state


def _looked_at(state: ReleaseState, seen: ReleaseObservation) -> tuple[ReleaseState, tuple[ReleaseReason, ...]]:
    """Return the state with what is seen of both versions. As long as other weights are live than were decided, the
    time of the step, and its statistics, do not begin."""
    kept = state.kept if state.reached >= 0 else 0
    state = replace(state, kept=max(kept, seen.replicas_of(state.stable).replicas))
    if _nonzero(state.weights) == _nonzero(seen.live):
        return state, ()
    return replace(state, since=seen.at, results=()), ((ReleaseReason.WEIGHTS_MOVED,) if state.is_live else ())


def _carried(
    rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation
) -> tuple[ReleaseState, tuple[ReleaseReason, ...]]:
    """Return the state with no more weight than the warm replicas carry; the step that lost it begins again, and shows
    again what it had shown, before a next one does."""
    most = carried_weight(state.stable, state.version, seen)
    needed = state.weight + (rules.step(state.step).mirror if state.begun else 0)
    if needed <= most:
        return state, ()
    is_closed = state.phase in _CLOSED
    step = state.step if state.begun or state.is_forced else min(state.step, max(0, state.reached))
    state = replace(state, weight=min(state.weight, most), step=step, begun=False, since=seen.at, results=())
    return state if is_closed else resumed(state, rules), (ReleaseReason.REPLICAS_LOST,)


def _mirror(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> int:
    if not state.is_under_way or state.is_forced:
        return 0
    index, most = step_in_force(state), carried_weight(state.stable, state.version, seen) - state.weight
    if index < 0 or state.weight > rules.step(index).weight:  # of a later step, which has lost replicas
        return 0
    return max(0, min(rules.step(index).mirror, most))


def _least_replicas(rules: ReleaseRules, state: ReleaseState, seen: ReleaseObservation) -> dict[str, int]:
    """Return the replicas that a release needs: those of the stable version until it is over, and the new one's of the
    step that is prepared or under way, within its bounds. Before the first window none are started or kept."""
    is_waiting = not seen.may_progress and state.reached < 0 and not state.weight
    if not state.is_under_way or is_waiting:
        return {}
    needed = replicas_for(rules.step(state.step), state, seen)
    most = seen.replicas_of(state.version).most
    return {state.stable: state.kept, state.version: needed if most is None else min(needed, most)}


def _nonzero(weights: Mapping[str, int]) -> dict[str, int]:
    return {version: weight for version, weight in weights.items() if weight}
