"""100,000 requests while replicas are rolled, scaled, switched and rolled back: how many are lost?"""

import asyncio
import time
from typing import Any

from benchmarks.support.report import Figure, at_most, plain
from e2e.support.load import Load
from e2e.support.site import Site, host_of, path_of, version
from e2e.support.warming import COLD, put, serves, spec

RATE = 130  # requests a second to each of two gateway pods
TENANT = "lossless"


async def run(found: Site, requests: int) -> list[Figure]:
    """Go round rollout, scale-out, scale-in, switch and rollback under load, retries off, until so many are sent."""
    gateways = await found.make_gateway("shared")
    await found.make_tenant(TENANT)
    await put(found, TENANT, spec(TENANT, 2))
    await serves(found, TENANT, 2)
    await found.until_total(2000, TENANT)
    load, began, rounds = Load(host_of(TENANT), path_of("ranker"), rate=RATE, method="POST"), time.monotonic(), 0
    async with load.on(*gateways):
        await load.measure(3)
        load.outcome.counts.clear()
        load.outcome.failed.clear()
        while sum(load.outcome.counts.values()) < requests:
            rounds += 1
            await _round(found, str(rounds))
    lost = sum(count for status, count in load.outcome.counts.items() if status != "200")
    await found.rest.call("DELETE", f"/v1/tenants/{TENANT}?cascade=true")
    return [
        plain("rounds of rollout, scale-out, scale-in, switch and rollback", str(rounds)),
        plain("requests, and seconds", f"{sum(load.outcome.counts.values())}, {time.monotonic() - began:.0f} s"),
        plain("answers", ", ".join(f"{status}: {count}" for status, count in sorted(load.outcome.counts.items()))),
        at_most("requests that were not answered with 200, retries off", lost, 0),
    ]


async def _round(found: Site, changed: str) -> None:
    v1 = version(2, **COLD, ROUND=changed)
    both = [v1, version(2, name="v2", **COLD, ROUND=changed)]
    await _becomes(found, 2, versions=[v1])
    for replicas in (3, 2):
        await found.rest.ok("PUT", f"/v1/tenants/{TENANT}/models/ranker/versions/v1/scale", {"replicas": replicas})
        await asyncio.sleep(1)
        await serves(found, TENANT, replicas)
    await _becomes(found, 4, versions=both)
    for name in ("v2", "v1"):
        shares = [{"version": name, "weight": 100}]
        await found.rest.ok("PUT", f"/v1/tenants/{TENANT}/models/ranker/traffic", {"traffic": shares})
        await asyncio.sleep(4)
    await _becomes(found, 2, versions=[v1])


async def _becomes(found: Site, replicas: int, **changes: Any) -> None:
    await put(found, TENANT, spec(TENANT, 2, **changes))
    await asyncio.sleep(2)
    await serves(found, TENANT, replicas)
