"""3,000 models on one gateway, scaled as autoscalers scale, with the whole manager: what is written, and how often?"""

import asyncio
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import orjson

from benchmarks.support.report import Figure, at_most, plain
from benchmarks.support.rig import Cluster, cluster, peak_memory, places, tenants
from istio_templates.envoy_filter import limits_of
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.resources import RESOURCES
from ratelimiter.controller import TICK
from tests.support.documents import labels, model

TENANTS, CHANGING = 30, 0.05
ETCD_LIMIT_KB = 1500
PATIENT = {"down": {"quiet": "200ms", "longest": "1s"}, "up": {"quiet": "5s", "longest": "30s"}}


async def run(quick: bool) -> list[Figure]:
    """Change 5 % of the models' replicas in a minute; count the writes of each slot and measure the largest object."""
    models, seconds = (300, 10) if quick else (3000, 60)
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder)) as found:
            await found.create(tenants(TENANTS))
            await found.create(_models(models))
            await found.pod("inference-gw", "gw-0", {"istio": "shared"})
            second = [await _pods(found, number, *place) for number, place in enumerate(places(models, TENANTS))]
            async with found.manager() as process:
                await found.still(8)
                times: dict[str, list[float]] = defaultdict(list)
                watching = asyncio.create_task(found.note_slot_writes(times))
                await asyncio.sleep(1)
                changes = await _change(
                    found, [pod for pod in second if pod], int(models * CHANGING * seconds / 60), seconds
                )
                await found.still(8)
                watching.cancel()
                memory = peak_memory(process.pid)
            slots, _ = await found.client.list(RESOURCES["EnvoyFilter"])
    return _figures(models, changes, seconds, times, slots, memory)


def _figures(
    models: int, changes: int, seconds: int, times: dict[str, list[float]], slots: list[Manifest], memory: float
) -> list[Figure]:
    gaps = [later - earlier for stamps in times.values() for earlier, later in pairwise(stamps)]
    least, shortest = TICK * 0.9, min(gaps, default=float("inf"))
    sizes = {len(orjson.dumps(slot)) / 1000: len(limits_of(slot)) for slot in slots}
    limits = sum(len(limits_of(slot)) for slot in slots)
    return [
        Figure("limits in the slots", str(limits), str(models), limits == models, True),
        plain(f"changes of a replica in {seconds} s", str(changes)),
        at_most("slot writes, at most one for each change", sum(map(len, times.values())), changes, count=True),
        Figure("shortest pause of a slot", f"{shortest:.2f} s", f"at least {least:g} s", shortest >= least),
        at_most(f"largest slot ({sizes[max(sizes)]} limits)", max(sizes), ETCD_LIMIT_KB / 5, " kB", count=True),
        plain("peak memory of the manager's process", f"{memory:.0f} MB"),
    ]  # fmt: skip


async def _pods(found: Cluster, number: int, namespace: str, name: str) -> ObjectKey | None:
    """Make a model's pod; one that is scaled has two. Return the second."""
    await found.pod(namespace, f"{name}-0", labels(name))
    return None if number % 5 else await found.pod(namespace, f"{name}-1", labels(name))


def _models(models: int) -> Iterator[Manifest]:
    """Yield models of which one in five is scaled by an autoscaler."""
    for number, (namespace, name) in enumerate(places(models, TENANTS)):
        workload = {"image": "example.com/m:1", **({} if number % 5 == 0 else {"replicas": 1})}
        limit = {"perReplicaQps": 20, "debounce": PATIENT}
        yield model(name, namespace, versions=[{"name": "v1", "workload": workload}], rateLimit=limit)


async def _change(found: Cluster, pods: list[ObjectKey], changes: int, seconds: int) -> int:
    """Take a second replica away or bring it back, evenly over the time."""
    rnd, started, away = random.Random(1), time.monotonic(), set[ObjectKey]()
    for number in range(changes):
        await asyncio.sleep(max(0.0, started + number * seconds / changes - time.monotonic()))
        pod = rnd.choice(pods)
        await found.set_ready(pod, pod in away)
        away ^= {pod}
    return changes
