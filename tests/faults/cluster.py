"""The embedded API server without HTTP, and what else a cluster does: pods of Deployments, Envoys of gateway pods."""

import asyncio
import copy
import itertools
from datetime import datetime, timedelta
from functools import partial

from aiohttp import web

from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import PROBE_HEADER, SLOTS
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.standalone.apiserver.registrar import resource_of
from k8s_manager.standalone.apiserver.registry import Kind
from k8s_manager.standalone.apiserver.store import CommittedWrite, ObjectStore
from tests.faults.simulation import BEGIN, SimulatedLoop
from tests.support.installed import registrar_with_crds
from tests.support.release_receivers import JOB

POD_SECONDS, PUSH_SECONDS, LOOK_SECONDS = 0.5, 0.2, 0.1
"""How long a pod takes to be ready, istiod to push a slot, and the pause between two looks of the kubelet."""
JOB_SECONDS = 5.0
REQUESTS = 5
"""Requests a second that every slot of an Envoy has counted, none of them beyond a limit."""
USER = "kubectl"
BREAK = CommittedWrite(0, "", None, None)
"""What breaks a watch that is open."""
_COUNT = 'envoy_http_local_rate_limit_enabled{{envoy_local_http_ratelimit_prefix="tidegate_slot_{:02d}"}} {}'


class Cluster:
    """All objects of a cluster, in simulated time. `writes` has every committed write in order.

    People's writes go straight into the registrar; only those of a manager pass a `transport`.
    """

    def __init__(self, loop: SimulatedLoop) -> None:
        self.loop, self._uids = loop, itertools.count(1)
        self.store = ObjectStore(None)
        self.registrar = registrar_with_crds(self.store, self.utc, self._uid)
        self.registrar.kinds[JOB.group_version, JOB.plural] = JOB
        self._first = {resource: self.store.every(resource) for resource in self.store._objects}
        self.writes: list[CommittedWrite] = []
        self.written_at: dict[int, float] = {}
        self._pods: dict[str, int] = {}
        self._pushed: dict[ObjectKey, Manifest | None] = {}
        self.takes_no_pushes = False
        self.unready: set[str] = set()
        self._tell, self.store._tell = self.store._tell, self._committed  # type: ignore[method-assign]

    def _committed(self, change: CommittedWrite) -> None:
        self.writes.append(change)
        self.written_at[change.version] = self.loop.time()
        self._tell(change)
        if change.resource.endswith("/envoyfilters"):
            self.loop.call_later(PUSH_SECONDS, self._push, change)

    def _push(self, change: CommittedWrite) -> None:
        """Bring an EnvoyFilter to all Envoys, as istiod does."""
        metadata = (change.after or change.before or {})["metadata"]
        if not self.takes_no_pushes:
            self._pushed[ObjectKey("EnvoyFilter", metadata["namespace"], metadata["name"])] = change.after

    async def _envoy(self, namespace: str, request: web.BaseRequest) -> web.Response:
        """Answer the config probe as a gateway pod does, anything else as a model server that is well."""
        if request.path == "/stats/prometheus":
            lines = (_COUNT.format(slot, int(REQUESTS * self.loop.time())) for slot in range(SLOTS))
            return web.Response(text="\n".join(lines))
        if PROBE_HEADER not in request.headers:
            return web.json_response({"ready": True})
        mine = [obj for key, obj in self._pushed.items() if obj is not None and key.namespace == namespace]
        answer = web.Response(status=204)
        for value in filter(None, map(shown_by, mine)):
            answer.headers.add("x-ratelimit-limit", str(value))
        return answer

    def break_watches(self) -> None:
        """Break every open watch, as a restart of the API server does."""
        for queues in self.store._watchers.values():
            for queue in queues:
                queue.put_nowait(BREAK)

    def utc(self) -> datetime:
        """Return the API server's clock."""
        return BEGIN + timedelta(seconds=self.loop.time())

    def _uid(self) -> str:
        return f"{next(self._uids):08d}-0000-0000-0000-000000000000"

    def kind(self, name: str) -> Kind:
        """Return a kind by its name."""
        resource = RESOURCES[name]
        return self.registrar.kind(resource.group_version, resource.plural)

    def has(self, kind: str) -> bool:
        """Tell whether the cluster has a kind; those of the Gateway API it has not."""
        resource = RESOURCES[kind]
        return (resource.group_version, resource.plural) in self.registrar.kinds

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """Return an object, or None."""
        return self.store.get(resource_of(self.kind(kind)), namespace, name)

    def every(self, kind: str) -> list[Manifest]:
        """Return the objects of a kind."""
        return self.store.every(resource_of(self.kind(kind)))

    def at_version(self, resource: str, version: int) -> list[Manifest]:
        """Return the objects of a resource as they were at a version."""
        found = {(o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in self._first.get(resource, [])}
        for change in self.writes:
            if change.resource == resource and change.version <= version:
                metadata = (change.after or change.before or {})["metadata"]
                key = metadata.get("namespace", ""), metadata["name"]
                if change.after is None:
                    found.pop(key, None)
                else:
                    found[key] = change.after
        return [found[key] for key in sorted(found)]

    def apply(self, *objects: Manifest, manager: str = USER) -> None:
        """Apply objects as a person with kubectl would."""
        for obj in objects:
            kind, namespace = self.kind(obj["kind"]), obj["metadata"].get("namespace", "")
            self.registrar.apply(kind, namespace, obj["metadata"]["name"], copy.deepcopy(obj), manager, True)

    def patch(self, kind: str, name: str, namespace: str, patch: Manifest, sub: str = "", manager: str = USER) -> None:
        """Merge a patch into an object as a person would."""
        self.registrar.patch(self.kind(kind), namespace, name, patch, manager, False, sub)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object as a person would."""
        self.registrar.delete(self.kind(kind), namespace, name, {})

    def condition(self, kind: str, name: str, type_: str, namespace: str = "") -> Manifest:
        """Return one condition of a document."""
        found = (self.get(kind, name, namespace) or {}).get("status", {}).get("conditions", [])
        return next((condition for condition in found if condition["type"] == type_), {})

    def pod(self, name: str, namespace: str, labels: dict[str, str], ready: bool = True) -> None:
        """Make a pod with an address of its own."""
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        kind = self.kind("Pod")
        self.registrar.create(kind, namespace, {"kind": "Pod", "metadata": metadata, "spec": {}}, "kubelet")
        self.set_ready(name, namespace, ready)

    def set_ready(self, name: str, namespace: str, ready: bool) -> None:
        """Change a pod's readiness."""
        number = self._pods.setdefault(f"{namespace}/{name}", len(self._pods) + 1)
        condition = {"type": "Ready", "status": str(ready)}
        address = f"10.0.{number // 250}.{number % 250 + 1}"
        self.loop.network[address] = web.Server(partial(self._envoy, namespace), loop=self.loop)
        status = {"podIP": address, "conditions": [condition]}
        self.patch("Pod", name, namespace, {"status": status}, "status", "kubelet")

    async def run_pods(self) -> None:
        """Keep the pods of every Deployment in line with it, until cancelled."""
        while True:
            for deployment in self.every("Deployment"):
                self._follow(deployment)
            for pod in self.every("Pod"):
                self._end(pod)
            for job in self.every("Job"):
                self._complete(job)
            await asyncio.sleep(LOOK_SECONDS)

    def _follow(self, deployment: Manifest) -> None:
        metadata, spec = deployment["metadata"], deployment["spec"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        wanted = [f"{name}-{number}" for number in range(spec.get("replicas", 1))]
        mine = {
            p["metadata"]["name"]: p
            for p in self._pods_in(namespace)
            if p["metadata"]["name"].rpartition("-")[0] == name
        }
        for pod in mine.keys() - set(wanted):
            self.registrar.delete(self.kind("Pod"), namespace, pod, {"gracePeriodSeconds": 0})
        for pod in wanted:
            if pod not in mine:
                labels = spec["template"]["metadata"].get("labels", {})
                self.registrar.create(
                    self.kind("Pod"),
                    namespace,
                    {
                        "metadata": {"name": pod, "namespace": namespace, "labels": labels},
                        "spec": {"readinessGates": spec["template"]["spec"].get("readinessGates") or []},
                    },
                    "kubelet",
                )
                self.set_ready(pod, namespace, False)
            elif f"{namespace}/{pod}" not in self.unready and not _is_ready(mine[pod]) and self._is_old(mine[pod]):
                self.set_ready(pod, namespace, True)
        ready = sum(_is_ready(p) for p in mine.values())
        if (deployment.get("status") or {}).get("readyReplicas", 0) != ready:
            status = {"readyReplicas": ready, "replicas": len(mine), "updatedReplicas": len(mine)}
            self.patch("Deployment", name, namespace, {"status": status}, "status", "kubelet")

    def _complete(self, job: Manifest) -> None:
        """Let a Job complete a while after it was made."""
        metadata = job["metadata"]
        if "status" not in job and self._is_old(job, JOB_SECONDS):
            status = {"conditions": [{"type": "Complete", "status": "True"}]}
            self.patch("Job", metadata["name"], metadata["namespace"], {"status": status}, manager="kubelet")

    def _is_old(self, pod: Manifest, seconds: float = POD_SECONDS) -> bool:
        made = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
        return self.utc() - made >= timedelta(seconds=seconds)

    def _end(self, pod: Manifest) -> None:
        """Delete a pod whose Deployment is gone, or that is being deleted."""
        metadata = pod["metadata"]
        owner = self.get("Deployment", metadata["name"].rpartition("-")[0], metadata["namespace"])
        if "deletionTimestamp" in metadata or (owner is None and "tidegate.dev/model" in metadata.get("labels", {})):
            self.registrar.delete(self.kind("Pod"), metadata["namespace"], metadata["name"], {"gracePeriodSeconds": 0})

    def _pods_in(self, namespace: str) -> list[Manifest]:
        return self.store.every(resource_of(self.kind("Pod")), namespace)


def shown_by(obj: Manifest) -> int | None:
    """Return what the probe is shown of a slot; None where an EnvoyFilter is none."""
    for patch in obj["spec"].get("configPatches", []):
        config = patch["patch"]["value"].get("typed_config", {})
        for descriptor in config.get("descriptors", []):
            if descriptor["entries"][0]["key"] == "probe":
                return int(descriptor["token_bucket"]["max_tokens"])
    return None


def _is_ready(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
