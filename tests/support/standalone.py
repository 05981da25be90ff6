"""`tidegate standalone` as its users start it, and load on its gateways."""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.bounds import hung
from tests.support.fleet import Rest
from tests.support.waiting import until

GATEWAY = {
    "spec": {
        "namespace": "inference-gw",
        "selector": {"istio": "inference-gw"},
        "managed": {"replicas": 2},
        "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}],
    }
}
HOST = "search.models.example.com"
PATH = "/v2/models/ranker"
QUICK = {"down": {"quiet": "100ms", "longest": "1s"}, "up": {"quiet": "200ms", "longest": "1s"}}
"""A debounce short enough to wait for, and longer than a pod takes to start."""


def ranker(replicas: int = 2, rate: float = 20, autoscale: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return the demo's model, quick to start and to stop; with `autoscale` in place of a number of replicas."""
    container = {
        "name": "model",
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8080}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
    }
    workload = {
        **({} if autoscale else {"replicas": replicas}),
        "image": "example.com/ranker:1",
        "command": ["python", "-m", "k8s_manager.standalone.demo.server", "--listen", "$(POD_IP):8080"],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "podTemplate": {"spec": {"containers": [container]}},
    }
    base = {
        "routes": [{"host": HOST, "path": PATH, "port": 8080, "timeout": "10s"}],
        "versions": [{"name": "v1", "workload": workload, **({"autoscale": autoscale} if autoscale else {})}],
        "traffic": [{"version": "v1", "weight": 100}],
        "rateLimit": {"perReplicaQps": rate},
    }
    return {"spec": {**base, **spec}}


@dataclass
class Running:
    """A standalone that runs."""

    folder: Path
    rest: Rest
    session: aiohttp.ClientSession
    process: asyncio.subprocess.Process
    said: list[str] = field(default_factory=list)
    """The lines that it has printed until it was ready."""
    writes: Callable[[], Any] = field(default=lambda: None)

    @property
    def link(self) -> str:
        """The link that signs in at the console once."""
        (found,) = re.findall(r"console +(\S+)", "".join(self.said))
        return str(found)

    async def gateways(self, pods: int = 2, addresses: int | None = None) -> list[str]:
        """Return the addresses of so many gateway pods, once all of them are ready (by default one for each)."""

        async def ready() -> list[str]:
            _, shared = await self.rest.call("GET", "/v1/gateways/shared")
            status = shared.get("status", {})
            found = status.get("addresses", [])
            return found if len(found) == (addresses or pods) and status["pods"]["total"] == pods else []

        return await until(ready, f"{pods} gateway pods")

    async def put(self, path: str, document: dict[str, Any]) -> None:
        """Write a document."""
        status, answer = await self.rest.call("PUT", path, document)
        assert status in (200, 201), answer

    async def limit(self, total: float, model: str = "search/ranker") -> float:
        """Wait until a model's limit is `total`; return when it was seen."""
        tenant, name = model.split("/")

        async def reached() -> bool:
            status, answer = await self.rest.call("GET", f"/v1/tenants/{tenant}/models/{name}/limit")
            return status == 200 and answer.get("total") == total

        await until(reached, f"{model} being limited to {total}/s")
        return time.monotonic()

    async def enforced(self, total: float, model: str = "search/ranker", within: float = 0.0) -> None:
        """Wait until every gateway pod runs a model's limit, as the config probe says; it may differ from `total` by
        `within`."""
        tenant, name = model.split("/")

        async def reached() -> bool:
            status, answer = await self.rest.call("GET", f"/v1/tenants/{tenant}/models/{name}/limit")
            states = {pod["state"] for pod in answer.get("pods", [])} if status == 200 else set()
            return states == {"Applied"} and abs(answer["total"] - total) <= within

        await until(reached, f"{model} being limited to {total}/s at every gateway pod")

    async def ready(self, replicas: int, model: str = "search/ranker") -> float:
        """Wait until a model has so many ready replicas; return when it was seen."""
        tenant, name = model.split("/")

        async def reached() -> bool:
            _, answer = await self.rest.call("GET", f"/v1/tenants/{tenant}/models/{name}")
            return [v["ready"] for v in answer.get("status", {}).get("versions", [])] == [replicas]

        await until(reached, f"{replicas} ready replicas of {model}")
        return time.monotonic()

    async def serves(self, addresses: list[str], path: str = PATH) -> bool:
        """Tell whether each of these gateway pods answers a request for a path with 200."""
        for address in addresses:
            async with self.session.get(f"http://{address}{path}", headers={"Host": HOST}) as answer:
                if answer.status != 200:
                    return False
        return True

    async def stats(self, address: str, pattern: str) -> dict[str, int]:
        """Return counters of a gateway's Envoy."""
        host = address.rsplit(":", 1)[0]
        async with self.session.get(f"http://{host}:15000/stats?filter={pattern}") as answer:
            lines = [line.rsplit(": ", 1) for line in (await answer.text()).splitlines()]
        return {name: int(value) for name, value in lines if value.isdigit()}

    @property
    def kubernetes_server(self) -> str:
        """The address of the embedded Kubernetes API without TLS."""
        return "http://127.0.0.1:" + (self.folder / "kube-port").read_text().strip()

    async def kubernetes(self, path: str) -> Any:
        """Return an answer of the embedded Kubernetes API."""
        headers = {"Authorization": "Bearer " + (self.folder / "kube-token").read_text().strip()}
        async with self.session.get(self.kubernetes_server + path, headers=headers) as answer:
            return await (answer.json() if "json" in answer.content_type else answer.text())

    async def api_writes(self) -> Counter[str]:
        """Return the writes that the embedded Kubernetes API has taken, by resource, those of the node left out."""
        out: Counter[str] = Counter()
        for line in (await self.kubernetes("/metrics")).splitlines():
            if found := re.match(
                r'apiserver_request_total\{verb="(POST|PUT|PATCH|DELETE)",resource="(\w+)".*\} (\d+)', line
            ):
                out[found[2]] += int(found[3])
        return out

    def log(self, name: str) -> str:
        """Return a part's log."""
        return (self.folder / "logs" / f"{name}.log").read_text()


def free_port() -> int:
    """Return a port that is free now, and that the kernel gives to no connection before it is bound."""
    while True:
        port = random.SystemRandom().randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@asynccontextmanager
async def standalone(folder: Path, *options: str, **variables: str) -> AsyncIterator[Running]:
    """Run a standalone until the block ends, with more variables in its environment."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "k8s_manager.cli.main",
        "standalone",
        "--state",
        str(folder),
        "--listen",
        f"127.0.0.1:{port}",
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **variables},
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        await _greeted(process.stdout, said, "no manager" if "--without-manager" in options else "ready; Ctrl-C")
        token = (folder / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as api,
            aiohttp.ClientSession(trust_env=False) as session,
        ):
            yield Running(folder, _Authorized(api), session, process, said)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(hung()):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


class _Authorized(Rest):
    """A REST caller whose session carries the token."""

    async def full(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, Any]:
        async with self._session.request(method, path, json=body, headers=headers or {"If-Match": "*"}) as answer:
            is_json = "json" in answer.content_type
            return answer.status, await (answer.json() if is_json else answer.text()), answer.headers


async def _greeted(out: asyncio.StreamReader, said: list[str], last: str) -> None:
    async with asyncio.timeout(hung()):
        while True:
            line = (await out.readline()).decode()
            assert line, "standalone ended early:\n" + "".join(said)
            said.append(line)
            if last in line:
                return


def collector_process(folder: Path) -> int:
    """Return the identifier of a standalone's collector."""
    wanted = [b"--pods", str(folder / "kubeconfig").encode()]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = entry.read_bytes().split(b"\0")
            if all(word in words for word in wanted):
                return int(entry.parent.name)
    raise AssertionError("there is no collector")


@asynccontextmanager
async def manager_process(
    folder: Path, *more: str, listen: str = "", kubeconfig: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a manager of one's own on a standalone's API, as `tidegate serve`; by default where the standalone's would
    listen, and by the standalone's own kubeconfig."""
    options = [
        "--kubeconfig",
        str(kubeconfig or folder / "kubeconfig"),
        "--token-file",
        str(folder / "token"),
        "--listen",
        listen or (folder / "address").read_text().strip(),
        *more,
    ]
    command = [sys.executable, "-m", "k8s_manager.cli.main", "serve", *options]
    with (folder / "logs" / "serve.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=dict(os.environ))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)  # one that is stopped would not end
            process.terminate()
        await process.wait()


@dataclass
class Load:
    """What came of a load: answers by status and second, and how the connections fared."""

    answers: Counter[int] = field(default_factory=Counter)
    by_second: Counter[int] = field(default_factory=Counter)
    retry_after: int = 0
    errors: list[str] = field(default_factory=list)
    connections: int = 0
    closed_by_server: int = 0
    sent: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


async def offer(
    addresses: list[str], rate: float, seconds: float, host: str = HOST, path: str = PATH, workers: int = 8
) -> Load:
    """Send `rate` requests a second, evenly over the gateways, over keep-alive connections."""
    load, started = Load(), time.monotonic()
    trace = aiohttp.TraceConfig()

    async def connected(*_: Any) -> None:
        load.connections += 1

    trace.on_connection_create_end.append(connected)
    total = int(rate * seconds)
    turn = iter(range(total))

    async def work(session: aiohttp.ClientSession) -> None:
        for number in turn:
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            address = addresses[number % len(addresses)]
            load.sent[address].append(time.monotonic())
            try:
                async with session.get(f"http://{address}{path}", headers={"Host": host}) as answer:
                    load.answers[answer.status] += 1
                    load.retry_after += answer.status == 429 and "retry-after" in answer.headers
                    load.by_second[int(time.monotonic() - started)] += answer.status == 200
                    load.closed_by_server += answer.headers.get("connection") == "close"
            except aiohttp.ClientError as error:
                load.errors.append(repr(error))

    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=600)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[trace], trust_env=False) as session:
        await asyncio.gather(*(work(session) for _ in range(workers)))
    return load
