"""What the first hundred requests to a new replica take: without warm-up, with fixedDelay, with gate."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.support.report import Figure, at_most, plain
from tests.support.standalone import GATEWAY, Running, ranker, standalone
from tests.support.waiting import until
from warmup.plans.success import nearest_rank

SLOW_CALLS, REQUESTS = 5, 100
PLAN = {
    "target": {"protocol": "http", "port": 8080, "path": "/small", "readyPath": "/ready"},
    "ready": {"interval": "200ms"},
    "cases": [{"name": "small", "body": {"text": "hello"}}],
    "load": {"concurrency": 4, "minRequests": 24},
    "success": {"window": 10, "latency": {"max": "50ms"}},
    "timeout": "2m",
}


async def run(quick: bool) -> list[Figure]:
    """Start new replicas in each mode, wait until all take requests, and send each its first requests."""
    replicas = 4 if quick else 20
    figures = [plain("replicas, and first requests to each", f"{replicas} x {REQUESTS}")]
    with tempfile.TemporaryDirectory() as folder:
        async with standalone(Path(folder)) as running:
            await running.put("/v1/gateways/shared", GATEWAY)
            hosts = {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": "search.models.example.com"}]}}
            await running.put("/v1/tenants/search", hosts)
            for mode, bound in (("none", None), ("fixedDelay", 1.2), ("gate", 1.2)):
                first, steady, took = await _one(running, mode, replicas)
                ratio = nearest_rank(first, 0.99) / nearest_rank(steady, 0.99)
                what = f"{mode}: p99 of the first requests over the steady p99 of the same replicas"
                said = f"{ratio:.3g} times ({nearest_rank(first, 0.99) * 1000:.1f} ms)"
                figures.append(
                    plain(f"peer, a plain readiness probe: {what}", said)
                    if bound is None
                    else at_most(what, ratio, bound, " times")
                )
                figures.append(plain(f"{mode}: from the document to all replicas taking requests", f"{took:.1f} s"))
    return figures


async def _one(running: Running, mode: str, replicas: int) -> tuple[list[float], list[float], float]:
    began = time.monotonic()
    await running.put("/v1/tenants/search/models/ranker", _model(mode, replicas))
    await until(lambda: _ready(running, replicas), f"{replicas} replicas in mode {mode}")
    took = time.monotonic() - began
    await asyncio.sleep(2)
    pods = await running.kubernetes("/api/v1/namespaces/search/pods")
    addresses = [pod["status"]["podIP"] for pod in pods["items"]]
    first = [latency for address in addresses for latency in await _send(address)]
    steady = [latency for address in addresses for latency in await _send(address)]
    await running.rest.call("DELETE", "/v1/tenants/search/models/ranker")
    await until(lambda: _gone(running), "the replicas being gone")
    return first, steady, took


def _model(mode: str, replicas: int) -> dict[str, Any]:
    command = ["python", "-m", "benchmarks.support.cold_server", "$(POD_IP):8080", str(SLOW_CALLS)]
    warmup = {
        "none": {"mode": "none"},
        "fixedDelay": {"mode": "fixedDelay", "plan": PLAN, "fixedDelay": {"load": "8s", "warm": "12s"}},
        "gate": {"plan": PLAN, "restartDelay": "1s"},
    }[mode]
    found = ranker(replicas, warmup=warmup)
    workload = found["spec"]["versions"][0]["workload"]
    container = {"name": "model", "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}
    workload |= {"command": command, "podTemplate": {"spec": {"containers": [container]}}}
    workload["env"] = [*workload["env"], {"name": "PYTHONPATH", "value": str(Path(__file__).parents[2])}]
    return found


async def _ready(running: Running, replicas: int) -> bool:
    _, answer = await running.rest.call("GET", "/v1/tenants/search/models/ranker")
    return [v["ready"] for v in answer.get("status", {}).get("versions", [])] == [replicas]


async def _gone(running: Running) -> bool:
    status, _ = await running.rest.call("GET", "/v1/tenants/search/models/ranker")
    pods = await running.kubernetes("/api/v1/namespaces/search/pods")
    return status == 404 and not pods["items"]


async def _send(address: str) -> list[float]:
    """Send requests one after the other; return what each took, in seconds."""
    out = []
    async with aiohttp.ClientSession(trust_env=False) as session:
        for _ in range(REQUESTS):
            began = time.perf_counter()
            async with session.post(f"http://{address}:8080/small", data=b"{}") as answer:
                await answer.read()
            out.append(time.perf_counter() - began)
    return out
