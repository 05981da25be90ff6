"""What belongs to a document in the cluster: objects, pods with their reasons, rollouts."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from istio_templates import names
from istio_templates.documents import ModelSpec, parse
from istio_templates.errors import Invalid
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.workloads.pod_phase import has_ended
from k8s_manager.api.services.document_catalog import DocumentCatalog
from k8s_manager.kube.store import Store
from k8s_manager.world.labels import version_labels, workload_labels

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

    def rollouts(self, namespace: str) -> list[Manifest]:
        """Return how far the rollout of each model in a namespace is."""
        deployments: dict[str, dict[str, Manifest]] = {}
        for obj in self._store.inside("Deployment", namespace):
            labels = obj["metadata"].get("labels") or {}
            if names.VERSION in labels and names.is_marked(obj):
                deployments.setdefault(labels.get(names.MODEL, ""), {})[labels[names.VERSION]] = obj
        models = self._catalog.many("Model", namespace)
        return [rollout(model, deployments.get(model["metadata"]["name"], {})) for model in models]

    def _pods(self, namespace: str, selected: Iterable[tuple[str, tuple[tuple[str, str], ...]]]) -> Iterator[Manifest]:
        pods = sorted(self._store.inside("Pod", namespace), key=lambda pod: str(pod["metadata"]["name"]))
        for version, labels in selected:
            for pod in pods:
                if labels and set(labels) <= (pod["metadata"].get("labels") or {}).items():
                    yield pod_line(pod, version)


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
    state, message = _state(pod, status, containers)
    unscheduled = conditions.get("PodScheduled", {})
    if not message and unscheduled.get("status") == "False":
        message = str(unscheduled.get("message", ""))
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        **({"version": version} if version else {}),
        "state": state,
        "ready": conditions.get("Ready", {}).get("status") == "True" and not has_ended(pod),
        "restarts": sum(_count(c.get("restartCount")) for c in containers if isinstance(c, dict)),
        "message": message,
        "created": metadata.get("creationTimestamp", ""),
    }


def _state(pod: Manifest, status: Manifest, containers: list[Any]) -> tuple[str, str]:
    """Return what a pod does in a word, as kubectl shows it, and in a sentence what hinders it."""
    phase = str(status.get("phase") or "Unknown")
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating", ""
    if reason := status.get("reason"):
        return str(reason), str(status.get("message") or "")
    for container in containers:
        state = _mapping(_mapping(container).get("state"))
        for name in ("waiting", "terminated"):
            found = _mapping(state.get(name))
            if found and not (name == "terminated" and found.get("exitCode") == 0):
                return _reason(found, phase), _hindrance(_mapping(container), found)
    return phase, ""


def _reason(found: Mapping[str, Any], phase: str) -> str:
    return str(found.get("reason") or ("Error" if "exitCode" in found else phase))


def _hindrance(container: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Return why a container does not run: its own message, and how it ended before."""
    last = found if "exitCode" in found else _mapping(_mapping(container.get("lastState")).get("terminated"))
    parts = [str(found.get("message") or "").strip()]
    if last:
        parts.append(f"container {container.get('name', '')} ended with exit code {last.get('exitCode', '?')}")
        parts.append("" if last is found else str(last.get("message") or "").strip())
    return "; ".join(part for part in parts if part)


def rollout(model: Manifest, deployments: Mapping[str, Manifest]) -> Manifest:
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


def _version(name: str, observed: Manifest, deployment: Manifest | None) -> Manifest:
    ready = _count(observed.get("ready"))
    if deployment is None:
        return {"name": name, "desired": observed.get("desired"), "ready": ready}
    status = deployment.get("status") or {}
    return {
        "name": name,
        "desired": _desired(deployment),
        "updated": _count(status.get("updatedReplicas")) if _is_observed(deployment) else 0,
        "ready": ready,
        "available": _count(status.get("availableReplicas")),
    }


def _stage(version: str, deployment: Manifest) -> tuple[bool, str]:
    """Return whether a Deployment has given up, and for what it waits, as `kubectl rollout status` says it."""
    status, desired = deployment.get("status") or {}, _desired(deployment)
    counts = (status.get(f"{name}eplicas") for name in ("updatedR", "r", "availableR"))
    updated, total, available = (_count(count) for count in counts)
    conditions = {c["type"]: c for c in status.get("conditions") or () if isinstance(c, dict) and "type" in c}
    if not _is_observed(deployment):
        return False, f"version {version}: the Deployment's controller has not seen its change yet"
    if conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded":
        return True, f"version {version}: the Deployment has exceeded its progress deadline; look at its pods"
    if updated < desired:
        return False, f"version {version}: {updated} of {desired} replicas are updated"
    if total > updated:
        return False, f"version {version}: {total - updated} old replicas are being removed"
    if available < updated:
        return False, f"version {version}: {available} of {updated} updated replicas are available"
    return False, ""


def _is_observed(deployment: Manifest) -> bool:
    status, generation = deployment.get("status") or {}, deployment["metadata"].get("generation", 0)
    return bool(_count(status.get("observedGeneration")) >= generation)


def _desired(deployment: Manifest) -> int:
    return _count((deployment.get("spec") or {}).get("replicas", 1))


def _count(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
