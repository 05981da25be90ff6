"""Whether replicas bear the requests/s that a document says of them: their latency where they have almost as many.

Looks at another load prove nothing, neither that the figure is too high nor that it is not. Looks that say otherwise
than before have to last, and what was found is forgotten when there was no such load for long.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ratelimiter.autoscale.signals import SignalTerm

NEAR = 0.8
"""The share of its requests/s from which on a replica has its load; above all of them it has too many."""
LASTING, KEPT = 60.0, 3600.0
"""Seconds for which looks have to say the same, and after which what was found is forgotten."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """Requests/s of each warm replica, and their latency beside its target, in seconds."""

    load: float
    latency: float
    target: float


@dataclass(frozen=True, slots=True)
class SaturationMemory:
    """What was found too slow; since when looks say otherwise (None: they do not); the moment of the last look that
    proved something; and what all of it is `about`: figures and pods, others of which begin from nothing."""

    about: object = None
    found: Saturation | None = None
    since: float | None = None
    last: float = 0.0


def measured(terms: Iterable[SignalTerm], per_replica: float | None, warm: int) -> Saturation | None:
    """Return the load and latency of `warm` replicas of `per_replica` requests/s each; None where it is not known, or
    is no load that proves anything."""
    by_kind = {term.target.kind: term for term in terms if term.value is not None}
    demand, latency = by_kind.get("demand"), by_kind.get("latency")
    if not per_replica or not warm or demand is None or latency is None:
        return None
    load = (demand.value or 0.0) / warm
    if not NEAR * per_replica <= load <= per_replica:
        return None
    return Saturation(load, latency.value or 0.0, latency.target.target)


def remembered(memory: SaturationMemory, about: object, look: Saturation | None, at: float) -> SaturationMemory:
    """Return what to remember after a look, which is None where it proves nothing."""
    if memory.about != about or at - memory.last > KEPT:
        memory = SaturationMemory(about, last=at)
    if look is None:
        return replace(memory, since=None)
    is_slow = look.latency > look.target
    if is_slow == (memory.found is not None):
        return replace(memory, since=None, last=at)
    since = at if memory.since is None else memory.since
    if at - since < LASTING:
        return replace(memory, since=since, last=at)
    return SaturationMemory(about, look if is_slow else None, last=at)
