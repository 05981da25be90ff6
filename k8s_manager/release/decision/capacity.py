"""What the warm replicas of versions carry: how many the next weight needs, and the most weight there may be. Pure.

A model's limit is the least of what each version can serve over its share, so a version with more weight than it
carries takes from all of them. What is to be carried is what the stable version does: then the limit never falls below
what it was before the release, whatever the demand is.
"""

from math import ceil, floor

from k8s_manager.release.decision.observation import ReleaseObservation
from k8s_manager.release.decision.rules import WHOLE

ROUNDING = 1e-9


def needed_replicas(weight: int, stable: str, version: str, kept: int, seen: ReleaseObservation) -> int:
    """Return how many warm replicas a version needs for a weight (per cent); `kept` are the stable version's."""
    if weight <= 0:
        return 0
    own, one = _per_replica(stable, version, seen)
    load = max(kept, seen.replicas_of(stable).warm) * own
    return max(1, ceil(weight * load / (WHOLE * one) - ROUNDING))


def carried_weight(stable: str, version: str, seen: ReleaseObservation) -> int:
    """Return the most weight (per cent) that the warm replicas of a version carry now."""
    warm = seen.replicas_of(version).warm
    if not warm:
        return 0
    own, one = _per_replica(stable, version, seen)
    load = seen.replicas_of(stable).warm * own
    return min(WHOLE, floor(WHOLE * warm * one / load + ROUNDING)) if load > 0 else WHOLE


def _per_replica(stable: str, version: str, seen: ReleaseObservation) -> tuple[float, float]:
    """Return what one replica of each version can serve; where that is not known, all count the same."""
    own, one = seen.replicas_of(stable).per_replica, seen.replicas_of(version).per_replica
    return (own, one) if own and one else (1.0, 1.0)
