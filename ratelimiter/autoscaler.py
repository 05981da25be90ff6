"""Whether a limit and an autoscaler work against each other. Pure.

A ceiling above what the most replicas can serve is never reached. A target above the per-replica limit is worse:
requests are refused before the autoscaler sees that there are too many of them. One that looks at the use of pods alone
never sees them: a request that is refused uses no CPU.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from istio_templates.documents.autoscale import VersionAutoscale
from istio_templates.documents.autoscale_signal import SignalKind
from ratelimiter.capacity import VersionLoad, capacity
from ratelimiter.target import Terms

_RATE = re.compile(r"req|qps|rps", re.IGNORECASE)
_USAGE: frozenset[SignalKind] = frozenset({"cpu", "memory", "gpu", "gpuMemory", "latency"})
"""Signals of what replicas do with the requests that reach them."""
_ADD_DEMAND = "add {name: demand, target: 80%} to its signals"
_LET_DEMAND = (
    "give the version autoscale with the signal {name: demand, target: 80%} in its place, or let it look at the "
    "requests that come"
)
Reason = Literal["CeilingUnreachable", "TargetAboveLimit", "ReplicasDeclared", "RefusalsHidden"]


@dataclass(frozen=True, slots=True)
class Scaler:
    """An autoscaler: its name, how many replicas it makes at most, its targets per replica by metric, what it looks at
    if that is the use of pods alone (else empty), and whether it is `autoscale` of the document itself."""

    name: str
    most: int
    targets: tuple[tuple[str, Fraction], ...] = ()
    usage: tuple[str, ...] = ()
    own: bool = False

    def rates(self) -> tuple[tuple[str, Fraction], ...]:
        """Return the targets that are requests per second, as far as their names tell."""
        return tuple((metric, value) for metric, value in self.targets if _RATE.search(metric))

    @property
    def bound(self) -> str:
        """The field that says how many replicas it makes at most."""
        return "autoscale.max" if self.own else "maxReplicas"


def own_scaler(document: VersionAutoscale) -> Scaler:
    """Return the autoscaler that a version's document asks for."""
    counting = [signal for signal in document.signals if signal.is_guard or signal.weight]
    is_blind = all(signal.kind in _USAGE for signal in counting)
    return Scaler("autoscale", document.max, usage=tuple(one.name for one in counting) if is_blind else (), own=True)


def declared_twice(declared: Mapping[str, int], scalers: Mapping[str, Scaler]) -> tuple[Reason, str] | None:
    """Return which version's number of replicas both its document and an autoscaler set; `declared` are those of the
    document by version. They set each other back without end."""
    for version, replicas in declared.items():
        if scaler := scalers.get(version):
            said = (
                f"autoscaler {scaler.name} and the document (workload.replicas: {replicas}) both set the replicas of "
                f"version {version}, and set each other back; take workload.replicas out of the document, the number "
                "then stays until the autoscaler changes it, or delete the autoscaler"
            )
            return "ReplicasDeclared", said
    return None


def disagreement(
    terms: Terms, loads: tuple[VersionLoad, ...], scalers: Mapping[str, Scaler], refuses: bool = True
) -> tuple[Reason, str] | None:
    """Return how a limit and the autoscalers of its versions (by name) disagree; None where they agree. `refuses` tells
    whether the limit is enforced."""
    found = [(load, scalers[load.name]) for load in loads if load.name in scalers]
    return _above(found) or (_hidden(found) if refuses else None) or _unreachable(terms, loads, scalers)


def _above(found: Iterable[tuple[VersionLoad, Scaler]]) -> tuple[Reason, str] | None:
    for load, scaler in found:
        for metric, value in scaler.rates():
            if value > load.per_replica:
                said = (
                    f"autoscaler {scaler.name} aims at {float(value):g} {metric} per replica, but requests are "
                    f"refused from {float(load.per_replica):g}/s on: it never sees the demand; aim below that"
                )
                return "TargetAboveLimit", said
    return None


def _hidden(found: Iterable[tuple[VersionLoad, Scaler]]) -> tuple[Reason, str] | None:
    for load, scaler in found:
        if not scaler.usage or not load.share:
            continue
        who = f"autoscale of version {load.name}" if scaler.own else f"autoscaler {scaler.name}"
        said = (
            f"{who} looks at {', '.join(scaler.usage)} alone, which the requests that are refused (from "
            f"{float(load.per_replica):g}/s per replica on) do not use: it sees no more than the limit admits; "
        )
        return "RefusalsHidden", said + (_ADD_DEMAND if scaler.own else _LET_DEMAND)
    return None


def _unreachable(
    terms: Terms, loads: tuple[VersionLoad, ...], scalers: Mapping[str, Scaler]
) -> tuple[Reason, str] | None:
    with_traffic = [load for load in loads if load.share > 0]
    if terms.bounds.ceiling is None or not with_traffic or any(load.name not in scalers for load in with_traffic):
        return None
    most = capacity([replace(load, replicas=scalers[load.name].most, older=()) for load in with_traffic])
    if terms.bounds.ceiling <= most:
        return None
    bounds = " and ".join(sorted({scalers[load.name].bound for load in with_traffic}))
    whose = f" of version {terms.version}" if terms.version else ""
    said = (
        f"the ceiling{whose} of {float(terms.bounds.ceiling):g}/s is never reached: as many replicas as {bounds} "
        f"allows serve {float(most):g}/s; lower the ceiling or raise {bounds}"
    )
    return "CeilingUnreachable", said
