"""What belongs to a document in the cluster: objects, pods with their reasons, rollouts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from collectors.pod_trouble import trouble_of
from istio_templates import names
from istio_templates.documents import ModelSpec, parse
from istio_templates.errors import Invalid
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.workloads.pod_phase import has_ended
from k8s_manager.api.services.document_catalog import DocumentCatalog
from k8s_manager.kube.store import Store
from k8s_manager.statistics.usage.usage_answer import VersionPod
from k8s_manager.status.rollout_status import EXCEEDED
from k8s_manager.world.labels import version_labels, workload_labels
from k8s_manager.world.rollout import Rollout, rollout_of

_OWNER = {"InferenceGateway": names.GATEWAY, "Tenant": names.TENANT, "Model": names.MODEL}


class Inventory:
    """Reads the store; every method raises `NotFound` for a document that is not there."""

    def __init__(self, store: Store, catalog: DocumentCatalog) -> None:
        self._store, self._catalog = store, catalog

    def objects(self, key: ObjectKey) -> list[Manifest]:
        """Return the objects that were rendered from a document, by kind and name."""
        self._catalog.live(key)
        label = _OWNER.get(key.kind)
        found = [k for k, obj in self._store.owned.items() if label and _belongs(obj, label, key)]
        return [_line(self._store.owned[k], k) for k in sorted(found)]

    def pods(self, key: ObjectKey) -> list[Manifest]:
        """Return the pods of a gateway or a model, by name."""
        live = self._catalog.live(key)
        if key.kind == "InferenceGateway":
            spec = live.get("spec") or {}
            selected = [("", tuple((spec.get("selector") or {}).items()))]
            return list(self._pods(str(spec.get("namespace", "")), selected))
        return list(self._pods(key.namespace, _versions(live))) if key.kind == "Model" else []

    def replicas(self, key: ObjectKey) -> list[VersionPod]:
        """Return the pods of a model that have not ended, by version and name."""
        return _replicas(_by_label(self._store.inside("Pod", key.namespace)), self._catalog.live(key))

    def replicas_by_model(self, namespace: str) -> Callable[[], dict[str, list[VersionPod]]]:
        """Return a function that finds the same of every model that is in a namespace now; any thread may call it."""
        pods, models = list(self._store.inside("Pod", namespace)), self._catalog.many("Model", namespace)

        def found() -> dict[str, list[VersionPod]]:
            by_label = _by_label(pods)
            return {str(model["metadata"]["name"]): _replicas(by_label, model) for model in models}

        return found

    def rollouts(self, namespace: str) -> list[Manifest]:
        """Return how far the rollout of each model in a namespace is."""
        deployments: dict[str, dict[str, Rollout]] = {}
        for obj in self._store.inside("Deployment", namespace):
            labels = obj["metadata"].get("labels") or {}
            if names.VERSION in labels and names.is_marked(obj):
                deployments.setdefault(labels.get(names.MODEL, ""), {})[labels[names.VERSION]] = rollout_of(obj)
        models = self._catalog.many("Model", namespace)
        return [rollout(model, deployments.get(model["metadata"]["name"], {})) for model in models]

    def _pods(self, namespace: str, selected: Iterable[tuple[str, tuple[tuple[str, str], ...]]]) -> Iterator[Manifest]:
        pods = sorted(self._store.inside("Pod", namespace), key=lambda pod: str(pod["metadata"]["name"]))
        for version, labels in selected:
            for pod in pods:
                if labels and set(labels) <= (pod["metadata"].get("labels") or {}).items():
                    yield pod_line(pod, version)


def _by_label(pods: Iterable[Manifest]) -> dict[tuple[str, str], list[Manifest]]:
    """Return pods that have not ended by each of their labels: a tenant has many models, and each is few pods."""
    found: dict[tuple[str, str], list[Manifest]] = {}
    for pod in pods:
        if not has_ended(pod):
            for label in (pod["metadata"].get("labels") or {}).items():
                found.setdefault(label, []).append(pod)
    return found


def _replicas(pods: Mapping[tuple[str, str], list[Manifest]], model: Manifest) -> list[VersionPod]:
    """Return the pods of a model, each once."""
    found: dict[str, VersionPod] = {}
    for version, labels in _versions(model):
        for pod in min((pods.get(label, []) for label in labels), key=len, default=[]):
            if set(labels) <= pod["metadata"]["labels"].items():
                found.setdefault(pod["metadata"]["name"], VersionPod(version, pod))
    return sorted(found.values(), key=lambda one: (one.version, one.name))


def _belongs(obj: Manifest, label: str, key: ObjectKey) -> bool:
    labels = obj["metadata"].get("labels") or {}
    if key.kind == "Model" and obj["metadata"].get("namespace", "") != key.namespace:
        return False
    return bool(labels.get(label) == key.name) and (key.kind != "Tenant" or names.MODEL not in labels)


def _line(obj: Manifest, key: ObjectKey) -> Manifest:
    place = {"namespace": key.namespace} if key.namespace else {}
    return {"kind": key.kind, **place, "name": key.name, "created": obj["metadata"].get("creationTimestamp", "")}


def _versions(model: Manifest) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return the versions of a model with their pods' labels; of one that cannot be read, its own pods."""
    name = model["metadata"]["name"]
    try:
        spec = parse(model).spec
    except Invalid:
        return [("", ((names.MODEL, name),))]
    assert isinstance(spec, ModelSpec)
    leaving = [str(gone.get("version")) for gone in (model.get("status") or {}).get("draining") or ()]
    drained = [(version, tuple(workload_labels(name, version))) for version in leaving]
    return [*((v.name, version_labels(name, v)) for v in spec.versions), *drained]


def pod_line(pod: Manifest, version: str) -> Manifest:
    """Return a pod as an inventory shows it. Pure."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    trouble = trouble_of(pod)
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        **({"version": version} if version else {}),
        **({"node": node} if (node := (pod.get("spec") or {}).get("nodeName")) else {}),
        "state": _state(pod, status, containers),
        "ready": conditions.get("Ready", {}).get("status") == "True" and not has_ended(pod),
        "restarts": sum(container.get("restartCount", 0) for container in containers),
        "message": str(status.get("message") or (trouble.said if trouble else "")),
        "created": metadata.get("creationTimestamp", ""),
    }


def _state(pod: Manifest, status: Manifest, containers: list[Manifest]) -> str:
    """Return what a pod does in a word, as kubectl shows it."""
    phase = str(status.get("phase") or "Unknown")
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    if reason := status.get("reason"):
        return str(reason)
    for container in containers:
        state = container.get("state") or {}
        for name in ("waiting", "terminated"):
            found = state.get(name) or {}
            if found and not (name == "terminated" and found.get("exitCode") == 0):
                return str(found.get("reason") or ("Error" if "exitCode" in found else phase))
    return phase


def rollout(model: Manifest, deployments: Mapping[str, Rollout]) -> Manifest:
    """Return how far the replicas of a model are those of its document. Pure."""
    metadata, status = model["metadata"], model.get("status") or {}
    ready = {str(v.get("name")): v for v in status.get("versions") or ()}
    known = [str(v.get("name")) for v in (model.get("spec") or {}).get("versions") or () if isinstance(v, dict)]
    versions = [_version(name, ready.get(name, {}), deployments.get(name)) for name in known]
    stages = [stage for name in known if name in deployments for stage in [_stage(name, deployments[name])]]
    rejected, unwritten = _document_stage(metadata, status)
    failed = rejected or next((said for is_over, said in stages if is_over), "")
    waits = unwritten or next((said for is_over, said in stages if said and not is_over), "")
    return {
        "model": f"{metadata['namespace']}/{metadata['name']}",
        "done": not failed and not waits,
        "failed": bool(failed),
        "message": failed or waits or "every replica is that of the document",
        "versions": versions,
    }


def _document_stage(metadata: Manifest, status: Manifest) -> tuple[str, str]:
    """Return why a document is rejected, and for what it waits; empty where neither."""
    if status.get("observedGeneration") != metadata.get("generation"):
        return "", "the manager has not seen this generation of the document yet"
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    said = {name: str(conditions.get(name, {}).get("message", "")) for name in ("Accepted", "Programmed")}
    if conditions.get("Accepted", {}).get("status") == "False":
        return f"the document is rejected: {said['Accepted']}", ""
    return "", "" if conditions.get("Programmed", {}).get("status") == "True" else f"waits: {said['Programmed']}"


def _version(name: str, observed: Manifest, found: Rollout | None) -> Manifest:
    ready = _count(observed.get("ready"))
    if found is None:
        return {"name": name, "desired": observed.get("desired"), "ready": ready}
    return {
        "name": name,
        "desired": found.wanted,
        "updated": found.updated if found.is_observed else 0,
        "ready": ready,
        "available": found.available,
    }


def _stage(version: str, found: Rollout) -> tuple[bool, str]:
    """Return whether a Deployment's rollout has failed, and for what it waits, in the words of `kubectl rollout
    status`."""
    if not found.is_observed:
        return False, f"version {version}: the Deployment's controller has not seen its change yet"
    if found.progressing and found.progressing[0] == EXCEEDED:
        return True, f"version {version}: the Deployment has exceeded its progress deadline; look at its pods"
    if found.updated < found.wanted:
        return False, f"version {version}: {found.updated} of {found.wanted} replicas are updated"
    if found.existing > found.updated:
        return False, f"version {version}: {found.existing - found.updated} old replicas are being removed"
    if found.available < found.updated:
        return False, f"version {version}: {found.available} of {found.updated} updated replicas are available"
    return False, ""


def _count(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0
