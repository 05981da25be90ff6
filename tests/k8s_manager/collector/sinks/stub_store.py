"""A search store that answers what a test wants, and keeps what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import RowKey, RowPlace, StatsRow
from k8s_manager.collector.sinks.search_sink import SearchSink
from k8s_manager.runtime.clock import SystemClock

Body = dict[str, Any]
Answer = Callable[[list[Body]], web.Response]


class ShortClock(SystemClock):
    """The machine's clock, whose pauses are noted and not made."""

    def __init__(self) -> None:
        self.pauses: list[float | None] = []

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        self.pauses.append(seconds)
        return False


def row(start: int = 1_700_000_000, revision: int = 0, model: str = "ranker", ok: int = 1) -> StatsRow:
    key = RowKey(RowPlace("model", "shared", "search", model), start, "inference-gw/gateway-0")
    return StatsRow(key, revision, (ok, *[0] * (len(OUTCOMES) - 1)), 10, 20, 300, {7: ok})


def items(*statuses: int) -> web.Response:
    """Return an answer of `_bulk` with one status for each row."""
    found = [
        {"create": {"status": status, **({"error": error(status)} if status >= 300 else {})}} for status in statuses
    ]
    return web.json_response({"errors": any(status >= 300 for status in statuses), "items": found})


def error(status: int) -> Body:
    return {"type": f"error_{status}", "reason": "of one row", "caused_by": {"reason": "the first cause"}}


@dataclass
class StubStore:
    """Answers in turn what is in `answers`, then that each row was created."""

    answers: list[Answer] = field(default_factory=list)
    bulks: list[list[Body]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    templates: dict[str, Body] = field(default_factory=dict)
    template_status: int = 404

    async def bulk(self, request: web.Request) -> web.Response:
        body = await request.read()
        lines = [orjson.loads(line) for line in body.splitlines()]
        actions, documents = lines[::2], lines[1::2]
        rows = [
            {**document, "_id": action["create"]["_id"]} for action, document in zip(actions, documents, strict=True)
        ]
        self.bulks.append(rows)
        self.sizes.append(len(body))
        self.headers.append(dict(request.headers))
        return self.answers.pop(0)(rows) if self.answers else items(*[201] * len(rows))

    async def read_template(self, request: web.Request) -> web.Response:
        found = self.templates.get(request.match_info["name"])
        return web.json_response(found or {}, status=200 if found else self.template_status)

    async def write_template(self, request: web.Request) -> web.Response:
        self.templates[request.match_info["name"]] = await request.json()
        return web.json_response({"acknowledged": True})

    def ids(self) -> list[list[str]]:
        """Return the ids of each request."""
        return [[one["_id"] for one in rows] for rows in self.bulks]


@dataclass
class Stubbed:
    """A stub, its address, and a sink that writes to it."""

    store: StubStore
    server: TestServer
    sink: SearchSink
    clock: ShortClock


@asynccontextmanager
async def stubbed(*answers: Answer, **more: Any) -> AsyncIterator[Stubbed]:
    store, clock = StubStore(list(answers)), ShortClock()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/{stream}/_bulk", store.bulk)
    app.router.add_get("/_index_template/{name}", store.read_template)
    app.router.add_put("/_index_template/{name}", store.write_template)
    async with TestServer(app, host="127.0.0.1") as server:
        sink = SearchSink(aiohttp.ClientSession(), str(server.make_url("/")), clock, **more)
        try:
            yield Stubbed(store, server, sink, clock)
        finally:
            await sink.close()
