"""From a replica's event to its slot's write while 100 others a second come in, beside a loop that only writes."""

import asyncio
import copy
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from benchmarks.controlplane.reaction import QUIET, prepare, until_seen
from benchmarks.support.report import Figure, at_most, median, plain
from benchmarks.support.rig import Cluster, cluster
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.pipeline.diff import stamped
from ratelimiter.slots import slot_of

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
            bodies = await _bodies(found)
            async with _bare(found, mine[1], bodies):
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


async def _bodies(found: Cluster) -> list[Manifest]:
    """Return what the manager writes: the slot as it is, and with another limit in it."""
    slot = ObjectKey("EnvoyFilter", "inference-gw", f"tidegate-shared-slot-{slot_of('t0000', 'ranker'):02d}")
    live = await found.client.get(slot)
    metadata = {key: live["metadata"][key] for key in ("name", "namespace", "labels")}
    one = {"apiVersion": live["apiVersion"], "kind": "EnvoyFilter", "metadata": metadata, "spec": live["spec"]}
    other = copy.deepcopy(one)
    descriptors = other["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["descriptors"]
    descriptors[0]["token_bucket"]["tokens_per_fill"] += 1
    return [stamped(other), stamped(one)]


@asynccontextmanager
async def _bare(found: Cluster, pod: ObjectKey, bodies: list[Manifest]) -> AsyncIterator[None]:
    """Run the bare loop as a process of its own, as the manager is one."""
    files = [found.folder / f"body-{number}.json" for number in range(2)]
    for file, body in zip(files, bodies, strict=True):
        file.write_bytes(orjson.dumps(body))
    words = [
        sys.executable,
        "-m",
        "benchmarks.support.bare_writer",
        found.server,
        f"{pod.namespace}/{pod.name}",
        *map(str, files),
    ]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
