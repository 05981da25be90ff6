"""A collector that answers with the rows of a test."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from collectors.access_log.latency import bucket_of
from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import RowKey, RowPlace, StatsRow
from collectors.request_statistics.row_codec import packed
from collectors.request_statistics.row_query import RowAnswer
from collectors.request_statistics.series import ALL


def stats_row(place: RowPlace, start: int, milliseconds: tuple[int, ...] = (), **counts: int) -> StatsRow:
    """Return the row of a window that begins at a moment (epoch seconds)."""
    took = [1000 * one for one in milliseconds]
    latency: dict[int, int] = {}
    for one in took:
        latency[bucket_of(one)] = latency.get(bucket_of(one), 0) + 1
    return StatsRow(
        RowKey(place, start, ALL), 1, tuple(counts.get(name, 0) for name in OUTCOMES), 0, 0, sum(took), latency
    )


class FakeCollector:
    """A collector that answers with some rows after so many `seconds`, and says something of itself."""

    def __init__(self, *rows: StatsRow) -> None:
        self.rows, self.about, self.asked = rows, dict[str, Any](), list[str]()
        self.status, self.seconds = 200, 0.0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.query["level"])
        await asyncio.sleep(self.seconds)
        start, end = int(request.query["start"]), int(request.query["end"])
        found = [one for one in self.rows if one.key.place.level == request.query["level"]]
        rows = [(*one.key, packed(one)) for one in found if start <= one.key.start < end]
        body = msgspec.msgpack.encode(RowAnswer(rows, **{"since": 0, **self.about}))
        return web.Response(body=body, status=self.status)
