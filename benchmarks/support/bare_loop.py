"""The bare loop as a process beside a benchmark: what it writes, and its start and end."""

import asyncio
import copy
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from benchmarks.support.rig import Cluster
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.digest import stamped
from ratelimiter.slots import slot_of


async def slot_bodies(found: Cluster) -> list[Manifest]:
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
async def bare_loop(found: Cluster, pod: ObjectKey, bodies: list[Manifest]) -> AsyncIterator[None]:
    """Run the bare loop as a process of its own, as the manager is one."""
    files = [found.folder / f"body-{number}.json" for number in range(2)]
    for file, body in zip(files, bodies, strict=True):
        file.write_bytes(orjson.dumps(body))
    target = [found.server, f"{pod.namespace}/{pod.name}", *map(str, files)]
    words = [sys.executable, "-m", "benchmarks.support.bare_writer", *target]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
