"""Cold replicas behind a gate: their document, what they count themselves, and a watch over every state of their pods."""

import contextlib
import time
from typing import Any

import aiohttp

from e2e.support.site import SYSTEM, Site, host_of, is_ready, path_of, version
from istio_templates.facts import Manifest
from istio_templates.workloads.warm_gate import GATE, verdict_of
from k8s_manager.kube.resources import RESOURCES
from tests.support.bounds import hung
from tests.support.waiting import until

COLD = {"MODEL_COLD_CALLS": "15", "MODEL_COLD_SECONDS": "0.2"}
SLOW = {"MODEL_COLD_CALLS": "100", "MODEL_COLD_SECONDS": "0.1"}
PLAN = {
    "target": {"protocol": "http", "port": 8080, "path": "/v2/models/ranker", "readyPath": "/v2/health/ready"},
    "ready": {"interval": "200ms"},
    "cases": [{"name": "typical", "body": {"text": "hello"}}],
    "load": {"minRequests": 20},
    "success": {"window": 10, "latency": {"max": "100ms"}},
    "timeout": "60s",
}


def spec(tenant: str, replicas: int, **changes: Any) -> Manifest:
    """Return a model with cold replicas behind a gate, its retries off, its limit out of the way."""
    route = {"host": host_of(tenant), "path": path_of("ranker"), "port": 8080, "retries": {"attempts": 0}}
    return {
        "routes": [route],
        "versions": [version(replicas, **COLD)],
        "traffic": [{"version": "v1", "weight": 100}],
        "rateLimit": {"perReplicaQps": 1000, "burst": "1s"},
        "warmup": {"plan": PLAN, "restartDelay": "3s"},
        **changes,
    }


async def put(site: Site, tenant: str, body: Manifest) -> None:
    await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker", {"spec": body})


async def serves(site: Site, tenant: str, replicas: int) -> list[Manifest]:
    """Wait until so many replicas, and no others, are open and ready; return them."""

    async def look() -> list[Manifest]:
        pods = await site.all("Pod", tenant, "tidegate.dev/model=ranker")
        staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return staying if len(staying) == replicas == len(pods) and all(map(is_ready, staying)) else []

    return await until(look, f"{replicas} open replicas")


async def asked(pod: Manifest, path: str, port: int = 8080) -> Any:
    """Return what a model pod itself answers."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=hung())) as session,
        session.get(f"http://{pod['status']['podIP']}:{port}{path}") as answer,
    ):
        return await answer.json()


async def crash(pod: Manifest) -> float:
    """End the container of a model pod at once; return a moment at which it is dead."""
    with contextlib.suppress(aiohttp.ClientError):
        await asked(pod, "/crash")
    return time.monotonic()


def gate_of(pod: Manifest) -> str:
    return next((c["status"] for c in pod["status"].get("conditions", []) if c["type"] == GATE), "")


async def managers_are_ready(site: Site) -> bool:
    """Tell whether both managers have read everything: one that is starting closes no gate."""
    pods = await site.all("Pod", SYSTEM, "app.kubernetes.io/name=tidegate")
    return len(pods) == 2 and all(map(is_ready, pods))


class Watch:
    """Sees every state of the pods of a tenant: `wrong` are those that were ready over a container that nobody had
    found warm, `closed` the names of pods whose gate was turned off again, `failing` of those whose containers were not
    ready behind an open gate."""

    def __init__(self, site: Site, tenant: str) -> None:
        self._site, self._tenant = site, tenant
        self.wrong: list[str] = []
        self.closed: set[str] = set()
        self.failing: set[str] = set()
        self._open: set[str] = set()

    async def run(self) -> None:
        _, since = await self._site.kube.list(RESOURCES["Pod"], namespace=self._tenant)
        while True:
            since = await self._follow(since)

    async def _follow(self, since: str) -> str:
        """Follow one watch to its end; return from where the next one goes on."""
        async for event, pod in self._site.kube.watch(RESOURCES["Pod"], since):
            since = pod["metadata"]["resourceVersion"]
            if event == "MODIFIED" and pod["metadata"]["namespace"] == self._tenant:
                self._see(pod)
        return since

    def _see(self, pod: Manifest) -> None:
        name = pod["metadata"]["name"]
        if is_ready(pod):
            status, verdict = pod["status"]["containerStatuses"][0], verdict_of(pod)
            if verdict is None or verdict.container != status["containerID"]:
                self.wrong.append(f"{name}: {verdict} over {status['containerID']}")
        if gate_of(pod) == "True":
            self._open.add(name)
            if any(c["type"] == "ContainersReady" and c["status"] != "True" for c in pod["status"]["conditions"]):
                self.failing.add(name)
        elif name in self._open:
            self.closed.add(name)


async def until_warming(site: Site, tenant: str, name: str) -> None:
    """Wait until the first replica of a version is being warmed."""

    async def under_way() -> bool:
        pods = await site.all("Pod", tenant, f"tidegate.dev/version={name}")
        try:
            return bool(pods and pods[0]["status"].get("podIP") and (await asked(pods[0], "/counts"))["warmup"] > 5)
        except aiohttp.ClientError:
            return False

    await until(under_way, f"the warm-up of {name}")
