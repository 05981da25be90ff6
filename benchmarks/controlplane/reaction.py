"""From a replica's event to the write of its slot, among a thousand models, beyond the debounce."""

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.controlplane.scale import fleet, models
from benchmarks.support.report import Figure, at_most, median, plain
from benchmarks.support.rig import Cluster, cluster
from istio_templates.facts import ObjectKey
from k8s_manager.kube.resources import RESOURCES
from tests.support.documents import labels, model

QUIET = 0.2
DEBOUNCE = {"down": {"quiet": "200ms", "longest": "1s"}, "up": {"quiet": "200ms", "longest": "1s"}}


async def run(quick: bool) -> list[Figure]:
    """Take a replica away and bring it back, again and again; the floor is the API's own watch."""
    number, rounds = (100, 6) if quick else (1000, 60)
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder)) as found:
            pods = await prepare(found, number)
            async with found.manager():
                await found.still()
                floor = [await until_seen(found, pods[0], "Pod", turn % 2 == 1) for turn in range(10)]
                await found.still()
                taken = [
                    await until_seen(found, pods[1], "EnvoyFilter", turn % 2 == 1) - QUIET for turn in range(rounds)
                ]
    return [
        plain("floor: median from a pod's write to its being seen in a watch", f"{median(floor) * 1000:.1f} ms"),
        at_most(
            f"median from a replica event to the write of its slot being seen, {number} models, debounce taken off",
            median(taken) * 1000,
            10,
            " ms",
        ),
        plain("the slowest tenth of them begins at", f"{sorted(taken)[int(len(taken) * 0.9)] * 1000:.1f} ms"),
    ]


async def prepare(found: Cluster, number: int) -> list[ObjectKey]:
    """Make so many tenants with a model each, and a gateway pod; return both replicas of the model that is measured."""
    await found.create(fleet(number))
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
    return await asyncio.wait_for(watching, 20) - accepted
