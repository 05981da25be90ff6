"""Ten thousand replica flaps in a minute over a hundred models: how often is a slot written?"""

import asyncio
import random
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from benchmarks.support.report import Figure, at_most, plain
from benchmarks.support.rig import Cluster, cluster
from istio_templates.facts import ObjectKey
from ratelimiter.controller import TICK
from tests.support.documents import gateway, labels, model, tenant

MODELS = 100


async def run(quick: bool) -> list[Figure]:
    """Flap within the debounce, then flap at random; count writes of slots at the API server."""
    seconds, flaps = (6, 1000) if quick else (60, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder)) as found:
            await found.create([gateway(), tenant()])
            async with found.manager():
                pods = await _prepare(found)
                before = await found.writes("envoyfilters")
                brief = await _flap(found, pods, flaps, seconds, brief=True)
                await asyncio.sleep(2)
                unneeded = await found.writes("envoyfilters") - before
                times: dict[str, list[float]] = defaultdict(list)
                watching = asyncio.create_task(found.note_slot_writes(times))
                rough = await _flap(found, pods, flaps, seconds, brief=False)
                await asyncio.sleep(2)
                watching.cancel()
    gaps = [later - earlier for stamps in times.values() for earlier, later in pairwise(stamps)]
    windows = int(seconds / TICK) + 4
    return [
        plain("flaps that end where they began, within the debounce", f"{flaps} in {brief:.0f} s over {MODELS} models"),
        at_most("slot writes that they cost", unneeded, 0),
        plain("flaps at random, which stay for up to a second", f"{flaps} in {rough:.0f} s"),
        plain("slot writes that they cost", f"{sum(map(len, times.values()))} over {len(times)} slots"),
        at_most(
            "writes of any one slot", max(map(len, times.values()), default=0), windows + rough - seconds, count=True
        ),
        Figure(
            "shortest time between two writes of one slot",
            f"{min(gaps, default=9):.2f} s",
            f"at least {TICK * 0.9:g} s",
            min(gaps, default=9) >= TICK * 0.9,
        ),
    ]


async def _prepare(found: Cluster) -> list[ObjectKey]:
    patient = {"down": {"quiet": "500ms", "longest": "1s"}, "up": {"quiet": "500ms", "longest": "2s"}}
    await asyncio.sleep(1)
    names = [f"m{number}" for number in range(MODELS)]
    await found.create(model(name, rateLimit={"perReplicaQps": 20, "debounce": patient}) for name in names)
    await found.pod("inference-gw", "gw-0", {"istio": "shared"})
    pods = [await found.pod("search", f"{name}-{replica}", labels(name)) for name in names for replica in range(2)]
    await found.still()
    return pods


async def _flap(found: Cluster, pods: list[ObjectKey], flaps: int, seconds: float, brief: bool) -> float:
    """Take replicas away and bring them back; return how long that took."""
    chance = random.Random(1)
    started = time.monotonic()
    free = list(pods)
    chance.shuffle(free)

    async def one(number: int) -> None:
        await asyncio.sleep(max(0.0, started + number * seconds / flaps - time.monotonic()))
        pod = free.pop()
        await found.set_ready(pod, False)
        if not brief:
            await asyncio.sleep(chance.random())
        await found.set_ready(pod, True)
        free.insert(0, pod)

    places = asyncio.Semaphore(150)

    async def bounded(number: int) -> None:
        async with places:
            await one(number)

    await asyncio.gather(*(bounded(number) for number in range(flaps)))
    return time.monotonic() - started
