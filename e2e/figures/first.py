"""What the first hundred real requests to each new replica take, as it counts them itself, in each mode of warm-up."""

import asyncio
from typing import Any

from benchmarks.support.report import Figure, at_most, plain
from e2e.support.load import Load
from e2e.support.site import Site, host_of, path_of, version
from e2e.support.warming import COLD, PLAN, asked, put, serves, spec
from tests.support.waiting import until
from warmup.plans.success import nearest_rank

TENANT, RATE, ROUNDS, REQUESTS, BOUND = "first", 60, 2, 100, 1.2
MODES: dict[str, dict[str, Any]] = {
    "none": {"mode": "none"},
    "fixedDelay": {"mode": "fixedDelay", "plan": PLAN, "fixedDelay": {"load": "20s", "warm": "20s"}},
    "gate": {"plan": PLAN, "restartDelay": "3s"},
    "agent": {"mode": "agent", "plan": PLAN},
}


async def run(found: Site, replicas: int) -> list[Figure]:
    """Start so many new replicas in each mode, in turn, and send through both gateway pods once all take requests.

    The rounds are pooled: the machine that also runs the cluster and the load has moods.
    """
    gateways = await found.make_gateway("shared")
    await found.make_tenant(TENANT)
    times: dict[str, tuple[list[float], list[float]]] = {mode: ([], []) for mode in MODES}
    for mode in list(MODES) * ROUNDS:
        for pool, seconds in zip(times[mode], await _one(found, gateways, replicas, MODES[mode]), strict=True):
            pool.extend(seconds)
    figures = []
    for mode, (first, following) in times.items():
        ratio = nearest_rank(first, 0.99) / nearest_rank(following, 0.99)
        said = f"{mode}, {ROUNDS} x {replicas} replicas: p99 of the first {REQUESTS} requests to each over that of the next"
        value = f"{ratio:.3g} times ({nearest_rank(first, 0.99) * 1000:.1f} ms)"
        figures.append(plain(f"peer: {said}", value) if mode == "none" else at_most(said, ratio, BOUND, " times"))
    await found.rest.call("DELETE", f"/v1/tenants/{TENANT}?cascade=true")
    return figures


async def _one(
    found: Site, gateways: list[str], replicas: int, warmup: dict[str, Any]
) -> tuple[list[float], list[float]]:
    versions = [version(replicas, **COLD, MODEL_SECONDS="0.01")]
    await put(found, TENANT, spec(TENANT, replicas, versions=versions, warmup=warmup))
    pods = await serves(found, TENANT, replicas)
    await found.until_total(1000 * replicas, TENANT)
    load = Load(host_of(TENANT), path_of("ranker"), rate=RATE, method="POST")

    async def enough() -> bool:
        counts = await asyncio.gather(*(asked(pod, "/counts") for pod in pods))
        return all(count["real"] >= 2 * REQUESTS for count in counts)

    async with load.on(*gateways, once=frozenset()):
        await until(enough, "every replica having answered enough")
    counts = [await asked(pod, "/counts") for pod in pods]
    await found.rest.ok("DELETE", f"/v1/tenants/{TENANT}/models/ranker")

    async def gone() -> bool:
        return not await found.all("Pod", TENANT, "tidegate.dev/model=ranker")

    await until(gone, "the replicas being gone")
    return [t for count in counts for t in count["first"]], [t for count in counts for t in count["next"]]
