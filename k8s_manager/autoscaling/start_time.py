"""How long replicas take until they are warm, as the newest of them did. Pure."""

from collections.abc import Iterable
from datetime import datetime

from istio_templates.facts import Manifest, Pairs

NEWEST = 5
"""Replicas that are looked at: what an older one took may have been another image."""


def start_seconds(pods: Iterable[Manifest], labels: Pairs) -> float:
    """Return the seconds from their creation to their readiness that the quickest of a version's newest pods took; 0
    while none is ready. A pod that was ready before, and is again, took longer by that alone: hence the quickest."""
    found = sorted((span for pod in pods if (span := _span(pod, labels))), reverse=True)[:NEWEST]
    return min((took for _, took in found), default=0.0)


def _span(pod: Manifest, labels: Pairs) -> tuple[datetime, float] | None:
    """Return when a pod of the version was made, and how long it took to be ready; None where it is not."""
    metadata = pod.get("metadata") or {}
    if not set(labels) <= set((metadata.get("labels") or {}).items()):
        return None
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if (condition.get("type"), condition.get("status")) == ("Ready", "True"):
            try:
                made = datetime.fromisoformat(metadata["creationTimestamp"])
                took = (datetime.fromisoformat(condition["lastTransitionTime"]) - made).total_seconds()
            except (KeyError, TypeError, ValueError):
                return None
            return (made, took) if took >= 0 else None
    return None
