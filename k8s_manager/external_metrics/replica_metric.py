"""Values of the metric `tidegate_replicas`: the last decision for each version, from the status of its Model."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from istio_templates import names
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.workloads.horizontal_pod_autoscaler import METRIC
from k8s_manager.external_metrics.label_selector import LabelSelector
from k8s_manager.kube.store import Store
from ratelimiter.autoscale.metric_value import metric_value

QUOTA = "Quota"
"""The hold of a decision that no more replicas may exceed."""


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision as it stands in a status: the version, its replicas, the moment (RFC 3339), and what held it."""

    version: str
    replicas: int
    at: str
    holds: tuple[str, ...] = ()


class ReplicaMetric:
    """Reads decisions out of the store; the metric of a version that has none is not there, and its HPA changes
    nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def values(self, namespace: str, selector: LabelSelector) -> list[Manifest]:
        """Return the values of the selected versions in a namespace."""
        return [
            self._value(namespace, decision, labels)
            for model in self._models(namespace, selector)
            for decision in decisions_of(model)
            if selector.fits(labels := {names.MODEL: model["metadata"]["name"], names.VERSION: decision.version})
        ]

    def _models(self, namespace: str, selector: LabelSelector) -> Iterator[Manifest]:
        """Yield the models that a selector may mean: an HPA names its one."""
        named = selector.values(names.MODEL)
        if named is None:
            yield from self._store.inside("Model", namespace)
            return
        for name in sorted(named):
            if (found := self._store.get(ObjectKey("Model", namespace, name))) is not None:
                yield found

    def _value(self, namespace: str, decision: StoredDecision, labels: dict[str, str]) -> Manifest:
        name = names.deployment(labels[names.MODEL], decision.version)
        deployment = self._store.get(ObjectKey("Deployment", namespace, name)) or {}
        scaler = self._store.get(ObjectKey("HorizontalPodAutoscaler", namespace, name)) or {}
        current = _count((deployment.get("status") or {}).get("replicas"))
        least = _count((scaler.get("spec") or {}).get("minReplicas"))
        value = metric_value(decision.replicas, current or 0, 1 if least is None else least, QUOTA in decision.holds)
        return {"metricName": METRIC, "metricLabels": labels, "timestamp": decision.at, "value": str(value)}


def decisions_of(model: Manifest) -> Iterator[StoredDecision]:
    """Yield the decisions in the status of a Model for the versions that its document still scales; what others may
    have written there in another shape is none."""
    scaled = {
        version.get("name")
        for version in _listed(model.get("spec"), "versions")
        if isinstance(version, dict) and version.get("autoscale")
    }
    for found in _listed(model.get("status"), "autoscale"):
        decision = _decision(found) if isinstance(found, dict) else None
        if decision is not None and decision.version in scaled:
            yield decision


def _decision(found: Manifest) -> StoredDecision | None:
    version, replicas, at = found.get("version"), _count(found.get("replicas")), found.get("at")
    if not isinstance(version, str) or replicas is None or not isinstance(at, str) or not _is_moment(at):
        return None
    return StoredDecision(version, replicas, at, tuple(str(hold) for hold in _listed(found, "holds")))


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _listed(found: Any, name: str) -> list[Any]:
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, list) else []
