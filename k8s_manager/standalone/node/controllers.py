"""The two controllers that pods need: Deployment (rolling update included) and EndpointSlice."""

import asyncio
import hashlib
import json
import logging
from datetime import UTC, datetime
from typing import Any

from k8s_manager.standalone.mirror import ApiConnection, Mirror, MirrorRefused, Object, selected

log = logging.getLogger(__name__)
HASH = "pod-template-hash"
DEADLINE = 600
"""Seconds without progress after which a rollout has failed, where its Deployment does not say otherwise."""
LOOK_AGAIN = 5.0
"""Seconds until rollouts are checked again though nothing has happened: a deadline may be over."""
_TIME = "%Y-%m-%dT%H:%M:%SZ"


async def run_controllers(api: ApiConnection, mirror: Mirror) -> None:
    """Keep Deployments and EndpointSlices in line until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_look_again(mirror))
        group.create_task(_follow(api, mirror))


async def _look_again(mirror: Mirror) -> None:
    while True:
        await asyncio.sleep(LOOK_AGAIN)
        mirror.dirty.set()


async def _follow(api: ApiConnection, mirror: Mirror) -> None:
    async for _ in mirror.settled(0.005):
        try:
            for deployment in mirror.all("Deployment"):
                await _deployment(api, mirror, deployment)
            await _orphans(api, mirror)
            for service in mirror.all("Service"):
                await _endpoints(api, mirror, service)
        except MirrorRefused as error:
            log.info("a controller's write was refused and is tried again: %s", error)
            await asyncio.sleep(0.1)
            mirror.dirty.set()


def is_ready(pod: Object) -> bool:
    """Tell whether a pod's Ready condition holds."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def is_leaving(pod: Object) -> bool:
    """Tell whether a pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def pods_of(mirror: Mirror, deployment: Object) -> list[Object]:
    """Return the pods that a Deployment made and that stay."""
    uid = deployment["metadata"]["uid"]
    pods = mirror.all("Pod", deployment["metadata"]["namespace"])
    return [
        p for p in pods if not is_leaving(p) and any(o["uid"] == uid for o in p["metadata"].get("ownerReferences", []))
    ]


async def _deployment(api: ApiConnection, mirror: Mirror, deployment: Object) -> None:
    if "deletionTimestamp" in deployment["metadata"]:
        return
    spec = deployment["spec"]
    template = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
    pods = pods_of(mirror, deployment)
    new = [pod for pod in pods if pod["metadata"]["labels"].get(HASH) == template]
    old = [pod for pod in pods if pod not in new]
    replicas, surge = spec.get("replicas", 1), _rolling(spec, "maxSurge", 1)
    for _ in range(min(replicas - len(new), replicas + surge - len(pods))):
        await _create_pod(api, deployment, template)
    for pod in _surplus(new, old, replicas, _rolling(spec, "maxUnavailable", 0)):
        await _forgiving(api.call("DELETE", "Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], {}))
    await _deployment_status(api, deployment, pods, new)


def _rolling(spec: Object, name: str, default: int) -> int:
    value = spec.get("strategy", {}).get("rollingUpdate", {}).get(name, default)
    return value if isinstance(value, int) else default


def _surplus(new: list[Object], old: list[Object], replicas: int, unavailable: int) -> list[Object]:
    """Return the pods to delete: cold ones first, and never more ready ones than may be missing."""
    surplus = sorted(new, key=lambda pod: (is_ready(pod), pod["metadata"]["creationTimestamp"]))[
        : max(0, len(new) - replicas)
    ]
    spare = sum(map(is_ready, [*new, *old])) - len([p for p in surplus if is_ready(p)]) - (replicas - unavailable)
    for pod in sorted(old, key=is_ready):
        if not is_ready(pod):
            surplus.append(pod)
        elif spare > 0:
            surplus.append(pod)
            spare -= 1
    return surplus


async def _create_pod(api: ApiConnection, deployment: Object, template: str) -> None:
    metadata, spec = deployment["metadata"], deployment["spec"]["template"]
    labels = {**spec.get("metadata", {}).get("labels", {}), HASH: template}
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    pod = {
        "metadata": {
            "generateName": f"{metadata['name']}-{template}-",
            "labels": labels,
            "annotations": spec.get("metadata", {}).get("annotations", {}),
            "ownerReferences": [owner],
        },
        "spec": {**spec["spec"], "nodeName": "standalone"},
        "status": {"phase": "Pending"},
    }
    await api.call("POST", "Pod", metadata["namespace"], "", pod)


async def _deployment_status(api: ApiConnection, deployment: Object, pods: list[Object], new: list[Object]) -> None:
    ready = sum(map(is_ready, pods))
    status = {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": len(pods),
        "updatedReplicas": len(new),
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    status["conditions"] = _conditions(deployment, status, sum(map(is_ready, new)), _now())
    if status != deployment.get("status"):
        metadata = deployment["metadata"]
        await _forgiving(
            api.call(
                "PATCH",
                "Deployment",
                metadata["namespace"],
                metadata["name"],
                {"status": status},
                sub="status",
                patch="merge",
            )
        )


def _conditions(deployment: Object, counts: Object, new_ready: int, now: datetime) -> list[Object]:
    """Return Available and Progressing as the Deployment controller writes them: progress is a change of the counts,
    and has to come within `progressDeadlineSeconds`."""
    spec, before = deployment["spec"], deployment.get("status") or {}
    wanted, live = spec.get("replicas", 1), {c["type"]: c for c in before.get("conditions", [])}
    known = live.get("Progressing", {})
    moved = any(before.get(name) != count for name, count in counts.items())
    done = counts["updatedReplicas"] == counts["replicas"] == wanted and new_ready >= wanted
    was_done = known.get("reason") == "NewReplicaSetAvailable" and counts["updatedReplicas"] == counts["replicas"]
    stamp = now.strftime(_TIME)
    if done or was_done:
        progress = ("True", "NewReplicaSetAvailable", "the pods of the newest template are available")
    elif moved or not known:
        progress = ("True", "ReplicaSetUpdated", "pods of the newest template are being made")
    elif _seconds_since(known, now) > spec.get("progressDeadlineSeconds", DEADLINE):
        progress = ("False", "ProgressDeadlineExceeded", "the newest template has not made progress in time")
    else:
        progress = (known["status"], known["reason"], known["message"])
    is_there = counts["availableReplicas"] >= wanted - _rolling(spec, "maxUnavailable", 0)
    available = (
        ("True", "MinimumReplicasAvailable", "enough replicas are available")
        if is_there
        else ("False", "MinimumReplicasUnavailable", "too few replicas are available")
    )
    return [
        _condition("Available", available, live.get("Available"), stamp, moved=False),
        _condition("Progressing", progress, known or None, stamp, moved=moved and not (done or was_done)),
    ]


def _condition(kind: str, said: tuple[str, str, str], before: Object | None, stamp: str, moved: bool) -> Object:
    status, reason, message = said
    body = {"type": kind, "status": status, "reason": reason, "message": message}
    same = before is not None and all(before.get(name) == value for name, value in body.items())
    since = before["lastTransitionTime"] if before and before["status"] == status else stamp
    updated = before["lastUpdateTime"] if before and same and not moved else stamp
    return {**body, "lastTransitionTime": since, "lastUpdateTime": updated}


def _seconds_since(condition: Object, now: datetime) -> float:
    then = datetime.strptime(condition["lastUpdateTime"], _TIME).replace(tzinfo=UTC)
    return (now - then).total_seconds()


def _now() -> datetime:
    return datetime.now(UTC)


async def _orphans(api: ApiConnection, mirror: Mirror) -> None:
    """Delete pods whose Deployment was deleted while no controller ran."""
    alive = {deployment["metadata"]["uid"] for deployment in mirror.all("Deployment")}
    for pod in mirror.all("Pod"):
        owners = [owner["uid"] for owner in pod["metadata"].get("ownerReferences", []) if owner["kind"] == "Deployment"]
        if owners and not alive & set(owners) and not is_leaving(pod):
            await _forgiving(api.call("DELETE", "Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], {}))


async def _endpoints(api: ApiConnection, mirror: Mirror, service: Object) -> None:
    metadata, selector = service["metadata"], service["spec"].get("selector")
    if not selector:
        return
    pods = [p for p in selected(mirror.all("Pod", metadata["namespace"]), selector) if p.get("status", {}).get("podIP")]
    ports = service["spec"]["ports"]
    wanted = {
        "addressType": "IPv4",
        "endpoints": [_endpoint(pod) for pod in pods],
        "ports": [
            {"name": p.get("name", ""), "port": p.get("targetPort", p["port"]), "protocol": "TCP"} for p in ports
        ],
    }
    name = f"{metadata['name']}-endpoints"
    live = mirror.get("EndpointSlice", metadata["namespace"], name)
    if live is not None and all(live.get(field) == value for field, value in wanted.items()):
        return
    owner = {
        "apiVersion": "v1",
        "kind": "Service",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    obj = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/service-name": metadata["name"]},
            "ownerReferences": [owner],
        },
        **wanted,
    }
    await _forgiving(api.call("PATCH", "EndpointSlice", metadata["namespace"], name, obj, patch="apply", force="true"))


def _endpoint(pod: Object) -> Object:
    ready, leaving = is_ready(pod), is_leaving(pod)
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready and not leaving, "serving": ready, "terminating": leaving},
        "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]},
    }


async def _forgiving(call: Any) -> None:
    """Make a call on an object that may have gone meanwhile."""
    try:
        await call
    except MirrorRefused as error:
        if error.status not in (404, 409):
            raise
