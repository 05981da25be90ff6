"""Which share of the requests does a new replica get while it starts slowly, beside what Envoy's formula says?"""

import asyncio
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import aiohttp

from benchmarks.support.report import Figure, at_most, plain, within
from collectors import endpoints
from k8s_manager.standalone.node.gateway import STATS_PORT
from tests.support.standalone import GATEWAY, HOST, Running, offer, ranker, standalone
from tests.support.waiting import until

WINDOW, LEAST, RATE, FULL = 20, 0.1, 200, 50.0
STEPS = (0, 4, 8, 12, 16, 20, 26)
SLOW = {"duration": f"{WINDOW}s", "minimumPercent": round(LEAST * 100), "aggression": 1}
Seen = list[tuple[float, int, int]]


async def run(quick: bool) -> list[Figure]:
    """Bring a second replica to one that carries all requests; look at its share in steps."""
    del quick
    with tempfile.TemporaryDirectory() as folder:
        async with standalone(Path(folder)) as running:
            await running.put("/v1/gateways/shared", {"spec": {**GATEWAY["spec"], "endpointStats": True}})
            await running.put(
                "/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}]}}
            )
            balanced = {"loadBalancing": {"policy": "roundRobin"}}
            model = ranker(1, 1000, trafficPolicy=balanced, warmup={"slowStart": SLOW})
            await running.put("/v1/tenants/search/models/ranker", model)
            addresses = await running.gateways()
            await running.limit(1000)
            (old,) = await _replicas(running)
            loading = asyncio.create_task(offer(addresses, RATE, STEPS[-1] + 14))
            await asyncio.sleep(2)
            await running.rest.call("PUT", "/v1/tenants/search/models/ranker/versions/v1/scale", {"replicas": 2})
            seen = await _watch(addresses, old)
            load = await loading
    others = sum(load.answers.values()) - load.answers[200] + len(load.errors)
    shares = [_share(seen, *step) for step in pairwise(STEPS)]
    return [
        plain("answers but 200", str(others)),
        at_most(f"share of a new replica in the first {STEPS[1]} of {WINDOW} s", shares[0][0], FULL / 2, " %"),
        *(_told(*step, *share) for step, share in zip(pairwise(STEPS[1:-1]), shares[1:-1], strict=True)),
        within("share of it afterwards", shares[-1][0], FULL, 5, " %"),
    ]


async def _replicas(running: Running) -> list[str]:
    pods = await running.kubernetes("/api/v1/namespaces/search/pods")
    return [pod["status"]["podIP"] for pod in pods["items"]]


async def _watch(addresses: list[str], old: str) -> Seen:
    """Return (seconds since the new replica's first request, its requests, all requests) again and again."""
    seen: Seen = []
    async with aiohttp.ClientSession(trust_env=False) as session:

        async def counts() -> tuple[int, int]:
            hosts = [address.rsplit(":", 1)[0] for address in addresses]
            found = [await endpoints.read(session, host, STATS_PORT) or {} for host in hosts]
            total = sum(sum(counted.values()) for counted in found)
            return total - sum(counted.get(old, 0) for counted in found), total

        async def begun() -> bool:
            return (await counts())[0] > 0

        await until(begun, "the first request to the new replica")
        began = time.monotonic()
        while not seen or seen[-1][0] < STEPS[-1]:
            seen.append((time.monotonic() - began, *await counts()))
            await asyncio.sleep(0.25)
    return seen


def _share(seen: Seen, since: int, to: int) -> tuple[float, float]:
    """Return the share of the new replica in a step, and that of the formula, in per cent."""
    first, last = next(row for row in seen if row[0] >= since), next(row for row in seen if row[0] >= to)
    return 100 * (last[1] - first[1]) / max(1, last[2] - first[2]), 100 * _mean(first[0], last[0])


def _told(since: int, to: int, share: float, formula: float) -> Figure:
    return plain(
        f"share {since} to {to} s after its first request", f"{share:.1f} % (Envoy's formula: {formula:.1f} %)"
    )


def _mean(since: float, to: float) -> float:
    """Return the mean share by Envoy's formula (slow start, aggression 1): weight max(least, time/window) beside 1."""
    points = [since + (to - since) * (step + 0.5) / 100 for step in range(100)]
    weights = [max(LEAST, min(1.0, point / WINDOW)) for point in points]
    return sum(weight / (1 + weight) for weight in weights) / len(weights)
