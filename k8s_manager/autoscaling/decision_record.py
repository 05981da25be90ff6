"""The last decision on each version as it stands in the status of its Model, and what autoscalers are served of it.

Every manager reads it from there, leader or not, and so all answer alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from istio_templates import names
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.store import Store
from ratelimiter.autoscale.decision import Hold
from ratelimiter.autoscale.metric_value import metric_value


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision as it stands in a status: the version, its replicas, the moment (RFC 3339), and what held it."""

    version: str
    replicas: int
    at: str
    holds: tuple[str, ...] = ()


def decisions_of(model: Manifest) -> Iterator[StoredDecision]:
    """Yield the decisions in the status of a Model for the versions that its document still scales; what others may
    have written there in another shape is none."""
    scaled = {
        version.get("name")
        for version in listed(model.get("spec"), "versions")
        if isinstance(version, dict) and version.get("autoscale")
    }
    for found in listed(model.get("status"), "autoscale"):
        decision = _decision(found) if isinstance(found, dict) else None
        if decision is not None and decision.version in scaled:
            yield decision


def served_replicas(store: Store, namespace: str, model: str, decision: StoredDecision) -> int:
    """Return the number by which an HPA, Tidegate's or one of KEDA's, comes to the decided replicas."""
    name = names.deployment(model, decision.version)
    deployment = store.get(ObjectKey("Deployment", namespace, name)) or {}
    current = _count((deployment.get("status") or {}).get("replicas")) or 0
    return metric_value(decision.replicas, current, _least(store, namespace, name), Hold.QUOTA in decision.holds)


def _least(store: Store, namespace: str, name: str) -> int:
    """Return how many replicas the HPA keeps in any case; KEDA's keeps one where the ScaledObject says 0."""
    for kind, field in (("HorizontalPodAutoscaler", "minReplicas"), ("ScaledObject", "minReplicaCount")):
        scaler = store.get(ObjectKey(kind, namespace, name)) or {}
        least = _count((scaler.get("spec") or {}).get(field))
        if least is not None:
            return max(least, 1) if kind == "ScaledObject" else least
    return 1


def _decision(found: Manifest) -> StoredDecision | None:
    version, replicas, at = found.get("version"), _count(found.get("replicas")), found.get("at")
    if not isinstance(version, str) or replicas is None or not isinstance(at, str) or not _is_moment(at):
        return None
    return StoredDecision(version, replicas, at, tuple(str(hold) for hold in listed(found, "holds")))


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def listed(found: Any, name: str) -> list[Any]:
    """Return a list in a part of an object that others may have written; empty where there is none."""
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, list) else []
