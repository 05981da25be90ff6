"""From a replica's event to the write of its slot, among a thousand models, beyond the debounce.

The floor is a process that writes the same bytes upon the same event and decides nothing
(`benchmarks.support.bare_writer`).
"""

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.controlplane.scale import models
from benchmarks.support.bare_loop import bare_loop, slot_bodies
from benchmarks.support.report import Figure, at_most, median, plain
from benchmarks.support.rig import Cluster, cluster, tenants
from istio_templates.facts import ObjectKey
from k8s_manager.kube.resources import RESOURCES
from tests.support.documents import labels, model

QUIET = 0.2
DEBOUNCE = {"down": {"quiet": "200ms", "longest": "1s"}, "up": {"quiet": "200ms", "longest": "1s"}}


async def run(quick: bool) -> list[Figure]:
    """Take a replica away and bring it back, again and again; then the same beside the bare loop."""
    number, rounds = (100, 6) if quick else (1000, 60)
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder)) as found:
            pod = (await prepare(found, number))[1]
            async with found.manager():
                await found.still()
                taken = [await until_seen(found, pod, "EnvoyFilter", turn % 2 == 1) - QUIET for turn in range(rounds)]
            async with bare_loop(found, pod, await slot_bodies(found)):
                bare = [await until_seen(found, pod, "EnvoyFilter", turn % 2 == 1) for turn in range(rounds)]
    slowest = sorted(taken)[int(len(taken) * 0.9)]
    return [
        plain("bare loop: median from an event to the write being seen", f"{median(bare) * 1000:.1f} ms"),
        plain(f"manager, {number} models, debounce taken off", f"{median(taken) * 1000:.1f} ms"),
        at_most("manager over a bare write of the same bytes", median(taken) / median(bare), 2),
        plain("the slowest tenth of the manager's begins at", f"{slowest * 1000:.1f} ms"),
    ]


async def prepare(found: Cluster, number: int) -> list[ObjectKey]:
    """Make so many tenants with a model each, and a gateway pod; return both replicas of the model that is measured."""
    await found.create(tenants(number))
    await found.create(models(number))
    await found.create([model("ranker", "t0000", rateLimit={"perReplicaQps": 20, "debounce": DEBOUNCE})])
    await found.pod("inference-gw", "gw-0", {"istio": "shared"})
    return [await found.pod("t0000", f"ranker-{index}", labels()) for index in range(2)]


async def until_seen(found: Cluster, pod: ObjectKey, kind: str, ready: bool) -> float:
    """Change a pod's readiness; return the seconds from its being accepted until a change of `kind` is seen."""
    resource = RESOURCES[kind]
    _, version = await found.client.list(resource)

    async def seen() -> float:
        async for event, _ in found.client.watch(resource, version):
            if event != "BOOKMARK":
                return time.monotonic()
        raise RuntimeError(f"no change of {kind} was seen")

    watching = asyncio.create_task(seen())
    await asyncio.sleep(1.3)
    await found.set_ready(pod, ready)
    accepted = time.monotonic()
    return await asyncio.wait_for(watching, 60) - accepted
