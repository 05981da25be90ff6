"""A thousand tenants with a model each: the first pass against a bare loop of the same bytes, and what follows."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.support.report import Figure, at_most, plain
from benchmarks.support.rig import Cluster, cluster, peak_memory, tenants
from istio_templates.facts import Manifest
from k8s_manager.kube.client import KubeClient
from k8s_manager.manager import assemble, settle, until
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.metrics import RENDERED
from k8s_manager.runtime.settings import Settings
from tests.support.documents import model
from tests.support.waiting import until as wait_until

Call = tuple[str, str, dict[str, str] | None, bytes | None, str]
IN_FLIGHT = 32


class Recording(KubeClient):
    """A client that remembers every write it makes, and when."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        super().__init__(server, session)
        self.calls: list[tuple[str, str, dict[str, str] | None, Manifest | None, str]] = []
        self.last = 0.0

    async def call(
        self,
        method: str,
        path: str,
        what: str,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
    ) -> Any:
        answer = await super().call(method, path, what, query, body, content_type)
        if method != "GET":
            self.calls.append((method, path, query, body, content_type))
            self.last = time.monotonic()
        return answer


def models(number: int) -> Iterator[Manifest]:
    """Yield a model for each tenant."""
    for index in range(number):
        yield model("ranker", f"t{index:04d}")


async def run(quick: bool) -> list[Figure]:
    """First pass, bare loop, no-op pass, memory."""
    number = 100 if quick else 1000
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder) / "first") as found:
            await _documents(found, number)
            ours, calls, pass_seconds, unneeded, drawn = await _first_pass(found)
        async with cluster(Path(folder) / "bare") as found:
            await _documents(found, number)
            assert calls, "the first pass wrote nothing that was seen: there is nothing to compare"
            bare = await _replay(found, calls)
        async with cluster(Path(folder) / "process") as found:
            await _documents(found, number)
            async with found.manager() as process:
                await found.still()
                memory = peak_memory(process.pid)
    return [
        plain(f"writes of the first pass over {number} tenants with a model each", str(len(calls))),
        plain("seconds from the first list to the last write", f"{ours:.2f} s, bare loop {bare:.2f} s"),
        at_most("first pass over a bare loop of the same bytes, 32 in flight", ours / bare, 2.5),
        at_most("writes of five passes that change nothing", unneeded, 0, count=True),
        at_most("renderings in them", drawn, 0, count=True),
        plain("median length of such a pass", f"{pass_seconds * 1000:.0f} ms"),
        at_most("peak memory of the manager's process", memory, 300, " MB"),
    ]


async def _documents(found: Cluster, number: int) -> None:
    await found.create(tenants(number))
    await found.create(models(number))


async def _first_pass(found: Cluster) -> tuple[float, list[Call], float, int, float]:
    connector = aiohttp.TCPConnector(limit=100)
    async with aiohttp.ClientSession(connector=connector, trust_env=False, read_bufsize=2**22) as session:
        client = Recording(found.server, session)
        manager = assemble(client, SystemClock(), Settings(in_flight=IN_FLIGHT))
        stop, started = asyncio.Event(), time.monotonic()
        running = asyncio.create_task(until(stop, *manager.parts(), settle(manager.store)))
        await wait_until(manager.loops.main.passed.is_set, "the first pass")
        await found.still()
        seconds = client.last - started
        calls = [(*call[:3], None if call[3] is None else orjson.dumps(call[3]), call[4]) for call in client.calls]
        writes, drawn, lengths = await found.writes(), _rendered(), []
        for _ in range(5):
            begun = time.monotonic()
            await manager.loops.main.once()
            lengths.append(time.monotonic() - begun)
        unneeded = await found.writes() - writes
        stop.set()
        await running
    return seconds, calls, sorted(lengths)[2], unneeded, _rendered() - drawn


def _rendered() -> float:
    return sum(s.value for metric in RENDERED.collect() for s in metric.samples if s.name.endswith("_total"))


async def _replay(found: Cluster, calls: list[Call]) -> float:
    """Send the same bytes in the same order, 32 in flight, and do nothing else."""
    waiting = iter(calls)

    async def worker(session: aiohttp.ClientSession) -> None:
        for method, path, query, data, content_type in waiting:
            headers = {"Content-Type": content_type}
            async with session.request(method, found.server + path, params=query, data=data, headers=headers) as answer:
                await answer.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100), trust_env=False) as session:
        started = time.monotonic()
        await asyncio.gather(*(worker(session) for _ in range(IN_FLIGHT)))
        return time.monotonic() - started
