"""What benchmarks share: the embedded API as a process of its own, a manager on it, documents in bulk."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from istio_templates.documents.crd import crds
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.schema import istio_crds
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.resources import RESOURCES
from tests.support.documents import gateway, tenant
from tests.support.standalone import free_port
from tests.support.waiting import until


class Cluster:
    """An embedded API in a process of its own, a client of it, and its counters."""

    def __init__(self, server: str, session: aiohttp.ClientSession, folder: Path) -> None:
        self.server, self.session, self.folder = server, session, folder
        self.client = KubeClient(server, session)
        self.api = ""

    async def writes(self, resource: str | None = None) -> int:
        """Return how many writes the API has taken."""
        async with self.session.get(f"{self.server}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        kinds = ('verb="POST"', 'verb="PUT"', 'verb="PATCH"', 'verb="DELETE"')
        wanted = "" if resource is None else f'resource="{resource}"'
        return sum(int(line.rsplit(" ", 1)[1]) for line in lines if any(k in line for k in kinds) and wanted in line)

    async def note_slot_writes(self, times: dict[str, list[float]]) -> None:
        """Note when each slot is written, until cancelled."""
        _, version = await self.client.list(RESOURCES["EnvoyFilter"])
        while True:
            async for event, obj in self.client.watch(RESOURCES["EnvoyFilter"], version):
                version = obj["metadata"]["resourceVersion"]
                if event == "MODIFIED":
                    times[obj["metadata"]["name"]].append(time.monotonic())

    async def still(self, seconds: float = 2.0) -> int:
        """Wait until no write has come for a while; return the writes so far."""
        before = -1
        while (now := await self.writes()) != before:
            before = now
            await asyncio.sleep(seconds)
        return before

    async def create(self, objects: Iterable[Manifest]) -> None:
        """Apply many objects, 32 at a time."""
        places = asyncio.Semaphore(32)

        async def one(obj: Manifest) -> None:
            async with places:
                await self.client.apply(obj, force=True, manager="bench")

        await asyncio.gather(*(one(obj) for obj in objects))

    async def pod(self, namespace: str, name: str, labels: dict[str, str]) -> ObjectKey:
        """Make a pod that is ready."""
        await self.client.create(
            {"kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": {}}
        )
        key = ObjectKey("Pod", namespace, name)
        await self.set_ready(key, True)
        return key

    async def set_ready(self, key: ObjectKey, ready: bool) -> None:
        """Change a pod's readiness."""
        conditions = [{"type": "Ready", "status": str(ready)}]
        await self.client.merge(key, {"status": {"podIP": "127.0.0.9", "conditions": conditions}}, "status")

    @asynccontextmanager
    async def manager(self, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a manager as a process of its own, with `more` options, until the block ends; its REST API is `api`."""
        kubeconfig, token = self.folder / "kubeconfig", self.folder / "token"
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bench", "cluster": {"server": self.server}}],
            "users": [{"name": "bench", "user": {"token": "none"}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "current-context": "bench",
        }
        kubeconfig.write_text(yaml.safe_dump(body))
        token.write_text("bench")
        port = free_port()
        options = ["--kubeconfig", str(kubeconfig), "--token-file", str(token), "--listen", f"127.0.0.1:{port}"]
        command = [sys.executable, "-m", "k8s_manager.cli.main", "serve", *options, *more]
        self.api = f"http://127.0.0.1:{port}"
        with (self.folder / "manager.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        try:
            await until(lambda: self._up(port), "the manager")
            yield process
        finally:
            process.terminate()
            await process.wait()

    async def metrics(self) -> dict[str, float]:
        """Return the manager's metrics that have no labels."""
        async with self.session.get(f"{self.api}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        pairs = (line.split(" ") for line in lines if not line.startswith("#") and "{" not in line)
        return {name: float(value) for name, value, *_ in pairs}

    async def _up(self, port: int) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with self.session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                return answer.status == 200
        return False


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Run an embedded API with all CRDs, state in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "k8s_manager.standalone.apiserver", "127.0.0.1", "0", "-"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=dict(os.environ))
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    connector = aiohttp.TCPConnector(limit=100)
    try:
        async with aiohttp.ClientSession(connector=connector, trust_env=False, read_bufsize=2**22) as session:
            found = Cluster(f"http://127.0.0.1:{port}", session, folder)
            await found.create([*crds(), *istio_crds()])
            await found.create([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inference-gw"}}])
            yield found
    finally:
        process.terminate()
        await process.wait()


def tenants(number: int) -> Iterator[Manifest]:
    """Yield a gateway, and tenants t0000, t0001 ... with their namespaces."""
    yield gateway()
    for index in range(number):
        name = f"t{index:04d}"
        marks = {"tidegate.dev/tenant": name, "app.kubernetes.io/managed-by": "tidegate"}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": marks}}
        yield tenant(name)


def places(models: int, number: int) -> list[tuple[str, str]]:
    """Return the namespaces and names of models that are spread over so many of those tenants."""
    return [(f"t{index % number:04d}", f"m{index // number}") for index in range(models)]


def peak_memory(pid: int) -> float:
    """Return a process's peak resident memory in MB (10^6 bytes)."""
    return _memory(pid, "VmHWM")


def resident_memory(pid: int) -> float:
    """Return a process's resident memory in MB (10^6 bytes)."""
    return _memory(pid, "VmRSS")


def _memory(pid: int, figure: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(figure):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no memory figure for process {pid}")
