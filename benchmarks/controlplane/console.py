"""The console with a thousand tenants of a model each: how long its pages take, how large they are, and what 200 open
pages cost the reaction to a replica."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from benchmarks.controlplane.reaction import QUIET, prepare, until_seen
from benchmarks.support.report import Figure, at_most, median, plain
from benchmarks.support.rig import Cluster, cluster
from istio_templates.facts import ObjectKey

PAGES = {
    "overview": "", "gateways": "gateways", "gateway": "gateways/shared", "tenants": "tenants",
    "tenants, searched": "tenants?q=t09", "tenant": "tenants/t0000", "model": "tenants/t0000/models/ranker",
    "its series": "tenants/t0000/models/ranker/series?span=15m", "its history": "tenants/t0000/models/ranker/history",
    "its document": "tenants/t0000/models/ranker/document", "its logs": "tenants/t0000/models/ranker/logs",
    "what if": "tenants/t0000/models/ranker/what-if", "the designer": "tenants/t0000/design", "access": "access",
    "overrides": "overrides", "hosts": "claims",
    "changes": "changes", "changes, filtered": "changes?q=t0000&by=token&type=call", "git": "git", "doctor": "doctor",
}  # fmt: skip
FLOOR = "account"
"""The page that asks the API once: the floor of all others."""
MOST_MS, MOST_KB, OPEN = 150.0, 100.0, 200


async def run(quick: bool) -> list[Figure]:
    """Measure the pages, then the reaction without and with open pages."""
    number, rounds, looks = (100, 4, 3) if quick else (1000, 40, 15)
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder)) as found:
            replicas = await prepare(found, number)
            async with found.manager(), _reader(found) as reader:
                await found.still()
                figures = await _pages(reader, looks)
                alone = await _reaction(found, replicas[1], rounds)
                async with _open_pages(reader, OPEN):
                    beside = await _reaction(found, replicas[1], rounds)
    return [
        *figures,
        plain("an event to its write, nobody looking", f"{alone * 1000:.1f} ms"),
        plain(f"the same beside {OPEN} open pages", f"{beside * 1000:.1f} ms"),
        at_most("ratio", beside / alone, 1.2),
    ]


@asynccontextmanager
async def _reader(found: Cluster) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a browser's session that has signed in."""
    jar, connector = aiohttp.CookieJar(unsafe=True), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(found.api, cookie_jar=jar, connector=connector) as session:
        async with session.post("/console/links", headers={"Authorization": "Bearer bench"}) as answer:
            path = (await answer.json())["path"]
        async with session.get(path) as answer:
            assert answer.status == 200, await answer.text()
        yield session


async def _pages(reader: aiohttp.ClientSession, looks: int) -> list[Figure]:
    """Look at each page so many times."""
    floor, _ = await _looked(reader, FLOOR, looks)
    figures, largest = [plain("a page of one call (the floor)", f"{floor:.1f} ms")], 0.0
    for name, path in PAGES.items():
        took, size = await _looked(reader, path, looks)
        largest = max(largest, size)
        figures.append(
            at_most(f"{name}: median ({took / floor:.1f} times the floor, {size:.0f} KB)", took, MOST_MS, " ms")
        )
    return [*figures, at_most("the largest page", largest, MOST_KB, " KB", count=True)]


async def _looked(reader: aiohttp.ClientSession, path: str, looks: int) -> tuple[float, float]:
    """Return the median in milliseconds, and the size in KB."""
    took, size = list[float](), 0
    for _ in range(looks):
        began = time.monotonic()
        async with reader.get(f"/console/{path}") as answer:
            size = len(await answer.read())
            assert answer.status == 200, path
        took.append(1000 * (time.monotonic() - began))
    return median(took), size / 1000


async def _reaction(found: Cluster, pod: ObjectKey, rounds: int) -> float:
    return median([await until_seen(found, pod, "EnvoyFilter", turn % 2 == 1) - QUIET for turn in range(rounds)])


@asynccontextmanager
async def _open_pages(reader: aiohttp.ClientSession, count: int) -> AsyncIterator[None]:
    """Keep pages open: each hears of changes, and loads its page again as a browser would."""
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(reader.get("/console/live?about=t0000")) for _ in range(count)]
        listening = [asyncio.create_task(_listen(reader, line, number)) for number, line in enumerate(lines)]
        try:
            yield
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)


async def _listen(reader: aiohttp.ClientSession, line: aiohttp.ClientResponse, number: int) -> None:
    """Read the line; one page in twenty is a model's that changes, and is loaded again."""
    async for text in line.content:
        if text.startswith(b"event: changed") and number % 20 == 0:
            async with reader.get("/console/tenants/t0000/models/ranker") as answer:
                await answer.read()
