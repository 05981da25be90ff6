"""What gateway pods run beside what was written: applied, pending, rejected, or no answer. Pure.

written ──> Pending ──(the pod shows its revision)──> Applied
               └──(what it shows has not moved for too long)──> Rejected
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ratelimiter.controller import Limits

State = Literal["Applied", "Pending", "Rejected", "NoAnswer"]


@dataclass(frozen=True, slots=True)
class Lag:
    """A slot that a pod does not run as written: what it shows instead (None: nothing), and since when (seconds)."""

    shown: int | None
    since: float


@dataclass(frozen=True, slots=True)
class ShownRevision:
    """The revision that a pod shows of a slot, and since when (seconds)."""

    revision: int
    since: float


@dataclass(frozen=True, slots=True)
class PodConfigState:
    """How far one gateway pod is.

    `behind` are the slots that it does not run as written, `late` those of them that have not moved for too long; one
    that is `silent` shows none.
    """

    state: State
    behind: frozenset[int] = frozenset()
    late: frozenset[int] = frozenset()
    silent: bool = False


def lags(
    before: Mapping[int, Lag], written: Mapping[int, int], running: Mapping[int, int], now: float
) -> dict[int, Lag]:
    """Return the slots in which a pod lags, each since it last showed another revision."""
    out = {}
    for slot, revision in written.items():
        shown = running.get(slot)
        if shown != revision:
            known = before.get(slot)
            out[slot] = known if known is not None and known.shown == shown else Lag(shown, now)
    return out


def shown(before: Mapping[int, ShownRevision], running: Mapping[int, int], now: float) -> dict[int, ShownRevision]:
    """Return what a pod shows of each slot, each since it was first seen there."""
    return {
        slot: known if (known := before.get(slot)) and known.revision == value else ShownRevision(value, now)
        for slot, value in running.items()
    }


def answering_state(lagging: Mapping[int, Lag], now: float, patience: float) -> PodConfigState:
    """Return how far a pod is that answers."""
    late = frozenset(slot for slot, lag in lagging.items() if now - lag.since > patience)
    state: State = "Rejected" if late else "Pending" if lagging else "Applied"
    return PodConfigState(state, frozenset(lagging), late)


def silent_state(written: Mapping[int, int], silent_for: float, patience: float) -> PodConfigState:
    """Return how far a pod is that has not answered for some seconds."""
    return PodConfigState("NoAnswer" if silent_for > patience else "Pending", frozenset(written), silent=True)


def late_at_all(states: Mapping[str, PodConfigState]) -> frozenset[int]:
    """Return the slots that no pod which answers has taken in time: then it is the configuration's fault."""
    answering = [found.late for found in states.values() if not found.silent]
    return frozenset.intersection(*answering) if answering else frozenset()


def late_at_any(states: Mapping[str, PodConfigState]) -> frozenset[int]:
    """Return the slots that some pod which answers has not taken in time."""
    return frozenset[int]().union(*(found.late for found in states.values() if not found.silent))


def behind_at_any(states: Mapping[str, PodConfigState]) -> frozenset[int]:
    """Return the slots that some pod which answers does not run as written."""
    return frozenset[int]().union(*(found.behind for found in states.values() if not found.silent))


def may_replace(good: Limits, rejected: Limits) -> bool:
    """Tell whether limits may be rolled back to: they bound everything that the rejected ones do, and admit no more of
    any. A cut that was rejected stays written: a gateway pod that starts later may take it."""
    known = dict(good)
    return all(
        (found := known.get(identity)) is not None
        and (found.rate <= bucket.rate and found.burst <= bucket.burst and found.enforced >= bucket.enforced)
        for identity, bucket in rejected
    )
