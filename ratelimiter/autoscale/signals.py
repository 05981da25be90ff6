"""What an autoscaler looks at: signals, their targets, and what was read of them.

A signal is either a sum over the model (`demand`, `concurrency`, `queue`, `prometheus`), whose target is what one
replica should carry, or a mean over its warm replicas (`cpu`, `memory`, `gpu`, `gpuMemory`, `latency`), whose target is
the mean itself. Either way its ratio says how many times the replicas there are would be just enough.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from istio_templates.documents.autoscale_signal import SignalKind

SUMS: frozenset[SignalKind] = frozenset({"demand", "concurrency", "queue", "prometheus"})
UP_ONLY: frozenset[SignalKind] = frozenset({"memory", "gpuMemory", "latency"})
"""Signals that never argue for fewer replicas: low latency proves nothing, and weights in memory do not shrink."""
CAPS: Mapping[SignalKind, float] = {"latency": 2.0}
"""Ratios above which a signal says nothing more: latency is not linear near saturation."""


@dataclass(frozen=True, slots=True)
class SignalTarget:
    """A signal under its name, with the target of one replica (in the signal's unit; 0: it is not known, and the signal
    says nothing), its weight in the mean, and whether it is a guard."""

    name: str
    kind: SignalKind
    target: float
    weight: float = 0.0
    guard: bool = False


@dataclass(frozen=True, slots=True)
class SignalReading:
    """A value, in the signal's unit, and the moment it is of, in seconds."""

    value: float
    at: float


@dataclass(frozen=True, slots=True)
class SignalTerm:
    """What one signal contributed: its value, and its ratio to the target; both None where it is missing."""

    target: SignalTarget
    value: float | None
    ratio: float | None


def term_of(target: SignalTarget, reading: SignalReading | None, replicas: int, now: float, fresh: float) -> SignalTerm:
    """Return what a signal says of `replicas` warm replicas at `now`; a reading older than `fresh` seconds, from the
    future, or that is no number says nothing, and neither does one without a target."""
    if not 0 < target.target < math.inf:
        return SignalTerm(target, None, None)
    if reading is None or not math.isfinite(reading.value) or reading.value < 0 or not 0 <= now - reading.at <= fresh:
        return SignalTerm(target, None, None)
    if target.kind not in SUMS and replicas == 0:
        return SignalTerm(target, None, None)
    carried = reading.value / max(replicas, 1) if target.kind in SUMS else reading.value
    ratio = min(carried / target.target, CAPS.get(target.kind, math.inf))
    return SignalTerm(target, reading.value, max(ratio, 1.0) if target.kind in UP_ONLY else ratio)
