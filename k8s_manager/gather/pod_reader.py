"""Pods as the watches show them: replicas of models, and the pods of gateways."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial

from collectors.replicas import PodState, ReadyPods, pod_seen, present
from istio_templates.documents import Document, InferenceGatewaySpec, ModelSpec
from istio_templates.documents.model import Version
from istio_templates.facts import GatewayPool, Pairs
from k8s_manager.kube.store import Store
from k8s_manager.runtime.memo import Memo
from k8s_manager.world.labels import version_labels
from k8s_manager.world.rollout import StuckPod, UnplacedReplicas, unplaced_replicas


class PodReader:
    """Reads the pods of a namespace once for each change in it."""

    def __init__(self, store: Store) -> None:
        self._store, self._memo = store, Memo()
        self._labels: dict[tuple[str, str], tuple[ModelSpec, tuple[tuple[str, frozenset[tuple[str, str]]], ...]]] = {}

    def of_namespace(self, namespace: str) -> list[PodState]:
        """Return the pods of a namespace that have not ended."""
        changes = self._store.changes("Pod", namespace)

        def read() -> list[PodState]:
            found = map(pod_seen, self._store.inside("Pod", namespace))
            return [pod for pod in found if not pod.ended]

        return self._memo.get(("pods", namespace), (changes,), read)

    def ready(self, namespace: str, model: str, spec: ModelSpec) -> dict[str, int]:
        """Return the ready replicas of each version of a model."""
        pods = self._ready_pods(namespace, spec)
        found = self._labels.get((namespace, model))
        if found is None or found[0] is not spec:
            labels = tuple((version.name, frozenset(version_labels(model, version))) for version in spec.versions)
            found = self._labels[namespace, model] = (spec, labels)
        return {name: pods.count(wanted) for name, wanted in found[1]}

    def ready_of(self, model: tuple[str, str], versions: Iterable[Version], spec: ModelSpec) -> dict[str, int]:
        """Return the ready replicas of versions that are not in the model's document, by its warm-up mode."""
        pods = self._ready_pods(model[0], spec)
        return {version.name: pods.count(frozenset(version_labels(model[1], version))) for version in versions}

    def ready_by_template(self, namespace: str, labels: Pairs, spec: ModelSpec) -> Counter[str]:
        """Return the ready replicas with all `labels`, by the pod template that they were made from."""
        return self._ready_pods(namespace, spec).by_revision(frozenset(labels))

    def templates(self, namespace: str, labels: Pairs) -> frozenset[str]:
        """Return from which pod templates the pods with all `labels` were made that stay, ready or not."""
        return frozenset(pod.revision for pod in present(self.of_namespace(namespace), labels) if not pod.leaving)

    def stuck(self, namespace: str) -> tuple[StuckPod, ...]:
        """Return the pods of a namespace that stay, take no requests, and of which Kubernetes says why."""
        changes = self._store.changes("Pod", namespace)

        def read() -> tuple[StuckPod, ...]:
            found = (pod for pod in self.of_namespace(namespace) if pod.trouble and not pod.leaving)
            stuck = [StuckPod(pod.name, pod.labels, pod.trouble) for pod in found if pod.trouble]
            return tuple(sorted(stuck, key=lambda pod: pod.name))

        return self._memo.get(("stuck", namespace), (changes,), read)

    def unplaced(self, namespace: str) -> Mapping[tuple[str, str], UnplacedReplicas]:
        """Return the replicas in a namespace that find no node, by model and version."""
        changes = self._store.changes("Pod", namespace)
        read = partial(unplaced_replicas, self.of_namespace(namespace))
        return self._memo.get(("unplaced", namespace), (changes,), read)

    def _ready_pods(self, namespace: str, spec: ModelSpec) -> ReadyPods:
        """Return the ready pods of a namespace; only warm ones where the model asks for the gate."""
        gate, changes = spec.warmup.how == "gate", self._store.changes("Pod", namespace)

        def read() -> ReadyPods:
            return ReadyPods(pod for pod in self.of_namespace(namespace) if pod.proved or not gate)

        return self._memo.get(("ready", namespace, gate), (changes,), read)

    def gateway_pods(self, spec: InferenceGatewaySpec) -> tuple[PodState, ...]:
        """Return the pods of a gateway, starting and terminating ones included."""
        return tuple(present(self.of_namespace(spec.namespace), tuple(spec.selector.items())))

    def gateway_pods_of(self, pool: GatewayPool) -> list[PodState]:
        """Return the pods of a gateway by its facts."""
        return present(self.of_namespace(pool.namespace), pool.selector)

    def answering_pods(self, pool: GatewayPool) -> list[PodState]:
        """Return the pods of a gateway that can be asked something: ready ones that stay, with an address."""
        return [pod for pod in self.gateway_pods_of(pool) if pod.ready and not pod.leaving and pod.address]

    def ungated(self, document: Document) -> frozenset[tuple[str, str, str]]:
        """Return the versions of a model that asks for gates of whose existing pods one has none."""
        spec, namespace = document.spec, document.namespace or ""
        if not isinstance(spec, ModelSpec) or spec.warmup.how != "gate":
            return frozenset()
        existing = [version for version in spec.versions if version.existing]
        return frozenset(
            (namespace, document.name, version.name)
            for version in existing
            if any(
                not pod.gated for pod in present(self.of_namespace(namespace), version_labels(document.name, version))
            )
        )

    def end_round(self, models: int) -> None:
        """Forget what was not asked for since the last call, and labels when there are many more than `models`."""
        self._memo.end_round()
        if len(self._labels) > 2 * models + 100:
            self._labels.clear()
