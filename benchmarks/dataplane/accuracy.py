"""Does the fleet admit what the replicas can serve, and does the limit follow when they change?"""

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.support.report import Figure, at_most, plain, within
from tests.support.standalone import GATEWAY, HOST, Running, offer, ranker, standalone
from tests.support.waiting import until

RANKER = "/v1/tenants/search/models/ranker"
BURST = 2  # of each gateway pod, at these rates
DEBOUNCE = {"up": 5.0, "down": 0.2}


async def run(quick: bool) -> list[Figure]:
    """Two gateway pods, two replicas at 20/s each; then four, then one; three times the limit is offered."""
    seconds = 4 if quick else 20
    with tempfile.TemporaryDirectory() as folder:
        async with standalone(Path(folder)) as run:
            await run.put("/v1/gateways/shared", GATEWAY)
            await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}]}})
            await run.put(RANKER, ranker())
            addresses = await run.gateways()
            await run.limit(40)
            await asyncio.sleep(1)
            figures = await _admitted(addresses, 40, seconds)
            for replicas, direction in ((4, "up"), (1, "down")):
                waited = await _follow(run, addresses, replicas)
                bound = DEBOUNCE[direction] + 1
                figures.append(
                    at_most(
                        f"seconds from {replicas} ready replicas to both Envoys having the new limit",
                        waited,
                        bound,
                        " s",
                    )
                )
                await asyncio.sleep(1)
                figures += await _admitted(addresses, 20 * replicas, seconds)
    return figures


async def _admitted(addresses: list[str], limit: float, seconds: int) -> list[Figure]:
    load = await offer(addresses, 3 * limit, seconds)
    beyond_burst = load.answers[200] - BURST * len(addresses)
    others = sum(load.answers.values()) - load.answers[200] - load.answers[429] + len(load.errors)
    return [
        within(
            f"admitted at a limit of {limit:g}/s, offered three times that for {seconds} s, burst taken off",
            beyond_burst / seconds,
            limit,
            2 if seconds >= 20 else 5,
            "/s",
        ),
        at_most("answers that are neither 200 nor 429", others, 0, count=True),
        at_most("429 without retry-after", load.answers[429] - load.retry_after, 0, count=True),
        plain("offered", f"{sum(load.answers.values()) / seconds:.0f}/s"),
    ]


async def _follow(run: Running, addresses: list[str], replicas: int) -> float:
    """Scale; return the seconds from the last replica being ready (or leaving) to both Envoys having been told."""
    before = [await _reloads(run, address) for address in addresses]
    await run.rest.call("PUT", f"{RANKER}/versions/v1/scale", {"replicas": replicas})
    await until(lambda: _ready(run, replicas), f"{replicas} ready replicas")
    started = time.monotonic()
    for address, count in zip(addresses, before, strict=True):
        await until(lambda a=address, c=count: _more(run, a, c), "Envoy being told")
    return time.monotonic() - started


async def _ready(run: Running, replicas: int) -> bool:
    pods = (await run.kubernetes("/api/v1/namespaces/search/pods"))["items"]
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    ready = [
        p
        for p in staying
        if any(c["type"] == "Ready" and c["status"] == "True" for c in p.get("status", {}).get("conditions", []))
    ]
    return len(ready) == len(staying) == replicas


async def _reloads(run: Running, address: str) -> int:
    return sum((await run.stats(address, "extension_config_discovery.*config_reload$")).values())


async def _more(run: Running, address: str, count: int) -> bool:
    return await _reloads(run, address) > count
