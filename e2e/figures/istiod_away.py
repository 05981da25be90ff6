"""istiod away for ten minutes while replicas change all the time: what is admitted meanwhile, and how soon is all well?

Changed limits reach no gateway pod meanwhile. So none may admit more than its last limit, and no request may fail;
afterwards the pods run what the documents say then.
"""

import asyncio
import time
from contextlib import suppress

from benchmarks.support.report import Figure, at_most, plain
from e2e.scenarios.test_istiod import scale_istiod
from e2e.support.load import Load
from e2e.support.site import Site, host_of, path_of

TENANT, FEW, MANY = "unconnected", 2, 4
QPS = 20
SPAN, EVERY = 20.0, 15.0
"""Seconds over which admitted requests are counted, and between two changes."""


async def run(site: Site, seconds: float) -> list[Figure]:
    """Take istiod away, change replicas until it is back, and count."""
    addresses = await site.make_gateway("shared")
    await site.make_tenant(TENANT)
    await site.make_model(TENANT, replicas=FEW)
    await site.until_enforced(FEW * QPS, TENANT)
    load = Load(host_of(TENANT), path_of("ranker"), rate=60)
    most, changes = 0.0, 0
    async with load.on(*addresses):
        await load.measure(1)
        await asyncio.to_thread(scale_istiod, 0)
        try:
            changing = asyncio.create_task(_change(site))
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                since, to = await load.measure(SPAN)
                most = max(most, load.outcome.rate(since, to))
            changing.cancel()
            changes = await changing
        finally:
            await asyncio.to_thread(scale_istiod, 1)
        back = time.monotonic()
        await _scale(site, MANY)
        await site.until_enforced(MANY * QPS, TENANT)
        took = time.monotonic() - back
        admitted = await load.limited_to(MANY * QPS, 5, within=0.075)
    strange = sum(load.outcome.strange.values())
    return [
        plain(f"changes of replicas while istiod was away for {seconds:.0f} s", str(changes)),
        at_most("admitted meanwhile over the limit that the gateway pods had", most / (FEW * QPS), 1.05),
        at_most("answers that are neither 200 nor 429", strange, 0, count=True),
        plain("seconds from istiod being back to the last limit at every gateway pod", f"{took:.1f}"),
        Figure("admitted in 5 s afterwards", str(admitted.admitted), f"the limit of {MANY * QPS}/s", bool(admitted)),
    ]


async def _change(site: Site) -> int:
    """Scale up and down until cancelled; return how often."""
    changes = 0
    with suppress(asyncio.CancelledError):
        while True:
            await _scale(site, MANY if changes % 2 == 0 else FEW)
            changes += 1
            await asyncio.sleep(EVERY)
    return changes


async def _scale(site: Site, replicas: int) -> None:
    path = f"/v1/tenants/{TENANT}/models/ranker/versions/v1/scale"
    await site.rest.ok("PUT", path, {"replicas": replicas})
