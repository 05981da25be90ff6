"""Values of the metric `tidegate_replicas`: the last decision for each version, from the status of its Model."""

from collections.abc import Iterator

from istio_templates import names
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.workloads.horizontal_pod_autoscaler import METRIC
from k8s_manager.autoscaling.decision_record import StoredDecision, decisions_of, served_replicas
from k8s_manager.external_metrics.label_selector import LabelSelector
from k8s_manager.kube.store import Store


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
        value = served_replicas(self._store, namespace, labels[names.MODEL], decision)
        return {"metricName": METRIC, "metricLabels": labels, "timestamp": decision.at, "value": str(value)}
