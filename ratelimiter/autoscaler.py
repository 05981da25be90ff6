"""Whether a limit and an autoscaler work against each other. Pure.

A ceiling above what `maxReplicas` can serve is never reached. A target above the per-replica limit is worse: requests
are refused before the autoscaler sees that there are too many of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from ratelimiter.capacity import VersionLoad, capacity
from ratelimiter.target import Terms

_RATE = re.compile(r"req|qps|rps", re.IGNORECASE)
Reason = Literal["CeilingUnreachable", "TargetAboveLimit", "ReplicasDeclared"]


@dataclass(frozen=True, slots=True)
class Scaler:
    """An autoscaler: its name, how many replicas it makes at most, and its targets per replica by metric."""

    name: str
    most: int
    targets: tuple[tuple[str, Fraction], ...] = ()

    def rates(self) -> tuple[tuple[str, Fraction], ...]:
        """Return the targets that are requests per second, as far as their names tell."""
        return tuple((metric, value) for metric, value in self.targets if _RATE.search(metric))


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
    terms: Terms, loads: tuple[VersionLoad, ...], scalers: Mapping[str, Scaler]
) -> tuple[Reason, str] | None:
    """Return how the limit of a model and the autoscalers of its versions (by name) disagree; None where they agree."""
    for load in loads:
        scaler = scalers.get(load.name)
        high = [found for found in scaler.rates() if found[1] > load.per_replica] if scaler else []
        if scaler and high:
            said = (
                f"autoscaler {scaler.name} aims at {float(high[0][1]):g} {high[0][0]} per replica, but requests are "
                f"refused from {float(load.per_replica):g}/s on: it never sees the demand; aim below that"
            )
            return "TargetAboveLimit", said
    with_traffic = [load for load in loads if load.share > 0]
    if terms.bounds.ceiling is None or not with_traffic or any(load.name not in scalers for load in with_traffic):
        return None
    most = capacity([replace(load, replicas=scalers[load.name].most, older=()) for load in with_traffic])
    if terms.bounds.ceiling <= most:
        return None
    said = (
        f"the ceiling of {float(terms.bounds.ceiling):g}/s is never reached: at their maxReplicas the versions serve "
        f"{float(most):g}/s; lower the ceiling or raise maxReplicas"
    )
    return "CeilingUnreachable", said
