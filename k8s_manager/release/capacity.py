"""What the warm replicas of versions carry: how many the next weight needs, and the most weight there may be. Pure.

A model's limit is the least of what each version can serve over its share, so a version with more weight than it
carries takes from all of them. The load to carry is what the stable version does, or the demand, where that is more
and both versions together could serve it.
"""

from math import ceil, floor

from k8s_manager.release.observation import ReleaseObservation
from k8s_manager.release.rules import WHOLE

ROUNDING = 1e-9


def needed_replicas(weight: int, stable: str, version: str, kept: int, seen: ReleaseObservation) -> int:
    """Return how many warm replicas a version needs for a weight (per cent); `kept` are the stable version's."""
    if weight <= 0:
        return 0
    own, one = _per_replica(stable, version, seen)
    load = max(kept * own, _load(stable, version, seen))
    return max(1, ceil(weight * load / (WHOLE * one) - ROUNDING))


def carried_weight(stable: str, version: str, seen: ReleaseObservation) -> int:
    """Return the most weight (per cent) that the warm replicas of a version carry now."""
    warm = seen.replicas_of(version).warm
    if not warm:
        return 0
    _, one = _per_replica(stable, version, seen)
    load = _load(stable, version, seen)
    return min(WHOLE, floor(WHOLE * warm * one / load + ROUNDING)) if load > 0 else WHOLE


def _load(stable: str, version: str, seen: ReleaseObservation) -> float:
    """Return the load to carry, in requests/s, or in replicas where it is not known what one can serve."""
    own, one = _per_replica(stable, version, seen)
    carries = seen.replicas_of(stable).warm * own
    if not _is_known(stable, version, seen) or seen.demand is None:
        return carries
    return max(carries, min(seen.demand, carries + seen.replicas_of(version).warm * one))


def _per_replica(stable: str, version: str, seen: ReleaseObservation) -> tuple[float, float]:
    """Return what one replica of each version can serve; where that is not known, all count the same."""
    own, one = seen.replicas_of(stable).per_replica, seen.replicas_of(version).per_replica
    return (own, one) if own and one else (1.0, 1.0)


def _is_known(stable: str, version: str, seen: ReleaseObservation) -> bool:
    return bool(seen.replicas_of(stable).per_replica and seen.replicas_of(version).per_replica)
