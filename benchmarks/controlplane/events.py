"""From a replica's event to its slot's write while 100 others a second come in, beside a loop that only writes."""

import asyncio
import itertools
import tempfile
import time
from pathlib import Path

from benchmarks.controlplane.reaction import QUIET, prepare, until_seen
from benchmarks.support.bare_loop import bare_loop, slot_bodies
from benchmarks.support.report import Figure, at_most, median, plain
from benchmarks.support.rig import Cluster, cluster
from istio_templates.facts import ObjectKey

RATE = 100


async def run(quick: bool) -> list[Figure]:
    """Measure the bare loop, then the manager, under the same storm, on the same fleet."""
    number, rounds = (100, 6) if quick else (1000, 60)
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder)) as found:
            mine = await prepare(found, number)
            others = [
                await found.pod(f"t{index % number:04d}", f"other-{index}", {"app": "other"}) for index in range(200)
            ]
            async with found.manager():
                await found.still()
                ours, rate = await _measured(found, mine[1], others, rounds, QUIET)
            bodies = await slot_bodies(found)
            async with bare_loop(found, mine[1], bodies):
                bare, bare_rate = await _measured(found, mine[1], others, rounds, 0.0)
    return [
        plain("events a second beside it", f"{rate:.0f} (manager), {bare_rate:.0f} (bare loop)"),
        plain("bare loop of the same bytes: median from an event to the write being seen", f"{bare * 1000:.1f} ms"),
        plain(f"manager, {number} tenants, debounce taken off", f"{ours * 1000:.1f} ms"),
        at_most("manager over bare loop", ours / bare, 3),
    ]


async def _measured(
    found: Cluster, pod: ObjectKey, others: list[ObjectKey], rounds: int, waits: float
) -> tuple[float, float]:
    """Return the median from the event to the write, and the rate of events that came beside it."""
    sent, started = itertools.count(), time.monotonic()
    storm = asyncio.create_task(_storm(found, others, sent))
    try:
        taken = [await until_seen(found, pod, "EnvoyFilter", turn % 2 == 1) - waits for turn in range(rounds)]
    finally:
        storm.cancel()
    return median(taken), next(sent) / (time.monotonic() - started)


async def _storm(found: Cluster, pods: list[ObjectKey], sent: "itertools.count[int]") -> None:
    """Change pods that decide nothing, a hundred times a second."""
    started = time.monotonic()
    for number, pod in enumerate(itertools.cycle(pods)):
        await asyncio.sleep(max(0.0, started + number / RATE - time.monotonic()))
        await found.client.merge(pod, {"metadata": {"annotations": {"beat": str(number)}}})
        next(sent)
