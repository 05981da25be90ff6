"""A cluster as a scenario sees it: its Kubernetes API, the manager's REST API, the gateway pods."""

import asyncio
import base64
import math
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.config import connect
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.resources import RESOURCES
from tests.support.bounds import hung
from tests.support.waiting import until

SYSTEM = "tidegate-system"
MODEL_IMAGE = os.environ.get("E2E_MODEL_IMAGE", "docker.io/local/model:1")


def kubeconfig() -> Path:
    """Return the kubeconfig of the cluster under test."""
    return Path(os.environ["E2E_KUBECONFIG"])


def kubectl(*words: str, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl; fails with what it said."""
    command = [os.environ.get("E2E_KUBECTL", "kubectl"), "--kubeconfig", str(kubeconfig()), *words]
    ended = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=2 * hung())
    if check and ended.returncode:
        raise AssertionError(f"kubectl {' '.join(words)} ended with {ended.returncode}: {ended.stderr.strip()}")
    return ended.stdout


def bounded() -> str:
    """Return the option of kubectl that bounds how long it waits."""
    return f"--timeout={hung():.0f}s"


class Site:
    """One scenario's hands and eyes."""

    def __init__(self, kube: KubeClient, rest: "Rest", address: str, token: str) -> None:
        self.kube, self.rest, self._token = kube, rest, token
        self.login = {"TIDEGATE_SERVER": address, "TIDEGATE_TOKEN": token}
        """The environment in which the command line talks to the manager."""

    @asynccontextmanager
    async def at(self, address: str) -> AsyncIterator["Rest"]:
        """Talk to one replica of the manager."""
        async with _session(address, self._token) as session:
            yield Rest(session)

    async def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """Return an object, or None."""
        try:
            return await self.kube.get(ObjectKey(kind, namespace, name))
        except Absent:
            return None

    async def all(self, kind: str, namespace: str = "", selector: str = "") -> list[Manifest]:
        """Return the objects of a kind; none of one that the cluster does not know."""
        try:
            return (await self.kube.list(RESOURCES[kind], selector, namespace))[0]
        except Absent:
            return []

    async def condition(self, kind: str, name: str, type_: str, namespace: str = "") -> Manifest:
        """Return one condition of a document; empty where it is not told."""
        obj = await self.get(kind, name, namespace) or {}
        return next((c for c in obj.get("status", {}).get("conditions", []) if c["type"] == type_), {})

    async def holds(self, kind: str, name: str, type_: str, namespace: str = "") -> bool:
        """Tell whether a condition of a document is true."""
        return (await self.condition(kind, name, type_, namespace)).get("status") == "True"

    async def gateway_pods(self, namespace: str, selector: str) -> list[Manifest]:
        """Return the gateway pods that exist, leaving ones included."""
        return [
            pod
            for pod in await self.all("Pod", namespace, selector)
            if pod["status"].get("phase") not in ("Succeeded", "Failed")
        ]

    async def addresses(self, namespace: str, selector: str) -> list[str]:
        """Return the addresses of the gateway pods that are ready and stay."""
        pods = await self.gateway_pods(namespace, selector)
        return sorted(p["status"]["podIP"] for p in pods if is_ready(p) and "deletionTimestamp" not in p["metadata"])

    async def make_gateway(self, name: str, replicas: int = 2, **spec: Any) -> list[str]:
        """Make a managed gateway and return the addresses of its pods, all of them ready."""
        base = {
            "namespace": f"{name}-gw",
            "selector": {"istio": name},
            "managed": {"replicas": replicas},
            "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}],
        }
        await self.rest.ok("PUT", f"/v1/gateways/{name}", {"spec": {**base, **spec}})
        return await self.ready_pods(f"{name}-gw", f"istio={name}", replicas)

    async def ready_pods(self, namespace: str, selector: str, count: int) -> list[str]:
        """Return the addresses of a gateway's pods as soon as it has `count` that are ready and none else."""

        async def look() -> list[str]:
            ready = await self.addresses(namespace, selector)
            there = await self.gateway_pods(namespace, selector)
            return ready if len(ready) == count == len(there) else []

        return await until(look, f"{count} ready gateway pods in {namespace}")

    async def make_tenant(self, name: str, gateway: str | Manifest = "shared", **spec: Any) -> None:
        """Make a tenant with one host."""
        at = {"name": gateway} if isinstance(gateway, str) else gateway
        body = {"gateway": at, "hosts": [{"name": host_of(name)}], **spec}
        await self.rest.ok("PUT", f"/v1/tenants/{name}", {"spec": body})

    async def make_model(self, tenant: str, name: str = "ranker", replicas: int = 2, **spec: Any) -> None:
        """Make a model and wait until it serves and is limited."""
        await self.make_model_document(tenant, name, replicas, **spec)
        if replicas:
            await until(lambda: self.holds("Model", name, "Ready", tenant), f"{tenant}/{name} being ready")

    async def make_model_document(self, tenant: str, name: str = "ranker", replicas: int = 2, **spec: Any) -> None:
        """Make a model and wait for nothing."""
        body = {
            "routes": [{"host": host_of(tenant), "path": path_of(name), "protocol": "http", "port": 8080}],
            "versions": [version(replicas)],
            "traffic": [{"version": "v1", "weight": 100}],
            "rateLimit": {"perReplicaQps": 20, "debounce": QUICK},
            **spec,
        }
        await self.rest.ok("PUT", f"/v1/tenants/{tenant}/models/{name}", {"spec": body})

    async def total(self, tenant: str, name: str = "ranker") -> float | None:
        """Return the limit that is in force as the manager tells it."""
        status, answer = await self.rest.call("GET", f"/v1/tenants/{tenant}/models/{name}/limit")
        return answer["total"] if status == 200 else None

    async def until_total(self, wanted: float, tenant: str, name: str = "ranker") -> None:
        """Wait until the limit is what it should be."""

        async def look() -> bool:
            return await self.total(tenant, name) == wanted

        await until(look, f"the limit {wanted}/s of {tenant}/{name}")

    async def until_enforced(self, wanted: float, tenant: str, name: str = "ranker") -> None:
        """Wait until each of both gateway pods runs its half of the limit, as the config probe reads it."""

        async def look() -> bool:
            status, limit = await self.rest.call("GET", f"/v1/tenants/{tenant}/models/{name}/limit")
            if status != 200 or [pod["state"] for pod in limit["pods"]] != ["Applied", "Applied"]:
                return False
            share = (limit["perGateway"] or {}).get("rate", 0)
            return limit["total"] == wanted and math.isclose(2 * share, wanted)

        await until(look, f"the limit {wanted}/s of {tenant}/{name} at both gateway pods")


class Rest:
    """The manager's REST API, through its Service."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and answer; where nobody answers, the other replica is asked, for a while."""
        began = time.monotonic()
        while True:
            try:
                async with self._session.request(method, path, json=body) as answer:
                    return answer.status, await (answer.json() if "json" in answer.content_type else answer.text())
            except aiohttp.ClientConnectionError:
                if time.monotonic() - began > hung():
                    raise
                await asyncio.sleep(0.2)

    async def ok(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer of a call that must succeed."""
        status, answer = await self.call(method, path, body)
        assert status in (200, 201, 202), f"{method} {path}: {status} {answer}"
        return answer


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """Connect to the cluster and to the manager in it."""
    async with await connect(kubeconfig()) as kube:
        secret = await kube.get(ObjectKey("Secret", SYSTEM, "tidegate-api"))
        service = await kube.get(ObjectKey("Service", SYSTEM, "tidegate"))
        token = base64.b64decode(secret["data"]["token"]).decode()
        address = f"http://{service['spec']['clusterIP']}"
        async with _session(address, token) as session:
            yield Site(kube, Rest(session), address, token)


def _session(address: str, token: str) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {token}", "If-Match": "*"}
    return aiohttp.ClientSession(address, headers=headers, timeout=aiohttp.ClientTimeout(hung(), sock_connect=hung()))


QUICK = {"down": {"quiet": "50ms", "longest": "200ms"}, "up": {"quiet": "200ms", "longest": "1s"}}


def host_of(tenant: str) -> str:
    """Return the host of a tenant."""
    return f"{tenant}.models.example.com"


def path_of(model: str) -> str:
    """Return the path of a model."""
    return f"/v2/models/{model}"


def version(replicas: int, name: str = "v1", **env: str) -> Manifest:
    """Return a version of the scenarios' model server."""
    probe = {"httpGet": {"path": "/v2/health/ready", "port": 8080}, "periodSeconds": 1}
    container = {"name": "model", "readinessProbe": probe}
    given = [{"name": key, "value": value} for key, value in {"MODEL_VERSION": name, **env}.items()]
    requests = {"requests": {"cpu": "5m", "memory": "16Mi"}}
    template = {"spec": {"containers": [container], "terminationGracePeriodSeconds": 5}}
    return {
        "name": name,
        "workload": {
            "replicas": replicas, "image": MODEL_IMAGE, "env": given, "resources": requests, "podTemplate": template
        },
    }  # fmt: skip


def is_ready(pod: Manifest) -> bool:
    """Tell whether a pod is ready."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


async def pause(seconds: float) -> None:
    """Let a stated time go by in which something must not happen."""
    await asyncio.sleep(seconds)
