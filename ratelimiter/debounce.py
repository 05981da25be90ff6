"""When a changed limit is written: cuts soon, raises once the replicas have been stable.

    settled ──(target differs)──> pending(since, changed, target) ──(due)──> settled on the new value
       ^                               │
       └───────(target is back)────────┘      what ends where it began is never written

A pure state machine: the clock is an argument, in seconds, and only ever compared with itself.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from istio_templates.facts import Bucket


@dataclass(frozen=True, slots=True)
class DebounceWindow:
    """Seconds that a change must hold still (`quiet`), and may be delayed at most (`longest`)."""

    quiet: float
    longest: float


@dataclass(frozen=True, slots=True)
class Rules:
    """How long cuts and raises wait."""

    down: DebounceWindow
    up: DebounceWindow


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that waits: what it leads to, since when it differs, when it last moved, the least it was. A raise from
    a fallback goes `at_once`: callers are refused while a replica idles."""

    target: Bucket
    since: float
    changed: float
    least: Bucket
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class DebounceState:
    """What was last written for the gateway pods (`written`, None before the first time) and what waits."""

    written: Bucket | None = None
    pending: Pending | None = None


def observe(state: DebounceState, target: Bucket, now: float, at_once: bool = False) -> DebounceState:
    """Return the state after the target was observed to be `target` at `now`; `at_once`: it follows a fallback."""
    if target == state.written:
        return DebounceState(state.written)
    pending = state.pending
    if pending is None or _direction(state.written, pending.target) != _direction(state.written, target):
        return DebounceState(state.written, Pending(target, now, now, target, at_once))
    if pending.target == target:
        return state
    least = min(pending.least, target, key=_by_admission)
    return DebounceState(
        state.written,
        replace(pending, target=target, changed=now, least=least, at_once=at_once or pending.at_once),
    )


def due_at(state: DebounceState, rules: Rules) -> float | None:
    """Return when the pending change may be written; None where nothing waits."""
    if state.pending is None:
        return None
    if state.written is None or (state.pending.at_once and not _is_cut(state)):
        return state.pending.since
    patience = rules.down if _is_cut(state) else rules.up
    return min(state.pending.changed + patience.quiet, state.pending.since + patience.longest)


def value_at(state: DebounceState, rules: Rules, now: float) -> Bucket | None:
    """Return the value to write if the change is due at `now`.

    A raise that was delayed for as long as it may be goes to the least value observed meanwhile, since nothing above
    that has been there all the time.
    """
    due = due_at(state, rules)
    if state.pending is None or due is None or now < due:
        return None
    restless = not state.pending.at_once and now < state.pending.changed + rules.up.quiet
    if state.written is not None and not _is_cut(state) and restless:
        return state.pending.least
    return state.pending.target


def wrote(state: DebounceState, value: Bucket, now: float) -> DebounceState:
    """Return the state after `value` was written at `now`; a target beyond it waits again."""
    settled = DebounceState(value)
    return settled if state.pending is None else observe(settled, state.pending.target, now)


def is_urgent(state: DebounceState) -> bool:
    """Tell whether what waits is a cut, which may ride along with any write of its slot."""
    return state.pending is not None and state.written is not None and _is_cut(state)


def _is_cut(state: DebounceState) -> bool:
    assert state.pending is not None
    return _direction(state.written, state.pending.target) < 0


def _direction(written: Bucket | None, target: Bucket) -> int:
    if written is None:
        return 1
    return -1 if _by_admission(target) < _by_admission(written) else 1


def _by_admission(bucket: Bucket) -> tuple[int, Fraction, int]:
    return (-bucket.enforced, bucket.rate, bucket.burst)
