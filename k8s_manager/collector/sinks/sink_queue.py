"""Rows on their way to a sink: kept while it is away, written again, and bounded."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

from collectors.access_log.rows import RowKey, StatsRow, unique
from k8s_manager.collector.sinks.row_sink import RowSink, SinkUnavailable
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder

log = logging.getLogger(__name__)
BACKOFF = Backoff(1.0, 60.0)
MOST_ROWS = 100_000
"""Rows that wait for a sink; beyond that the oldest windows go, and are counted."""
BATCH = 5_000
LAST_SECONDS = 10.0
"""Seconds in which rows are still written at the end."""


class SinkQueue:
    """One sink of one collector. Of a row that is emitted again only the newest waits."""

    def __init__(self, sink: RowSink, clock: Clock, spans: SpanRecorder = NO_SPANS) -> None:
        self.sink, self._clock, self._spans = sink, clock, spans
        self._waiting: dict[RowKey, StatsRow] = {}
        self._come = asyncio.Event()
        self.failures, self.refused, self.dropped = 0, 0, 0
        """Writes that were not taken; rows that the sink refused for ever; rows that went because too many waited."""

    @property
    def waiting(self) -> int:
        """How many rows wait."""
        return len(self._waiting)

    def waiting_before(self, moment: int) -> int:
        """Return how many rows of windows before a moment (epoch seconds) wait."""
        return sum(key.start < moment for key in self._waiting)

    def put(self, rows: Iterable[StatsRow]) -> None:
        """Take rows to be written."""
        for row in rows:
            self._come.set()
            before = self._waiting.pop(row.key, row)
            self._waiting[row.key] = unique([before, row])[0]
        if (over := len(self._waiting) - MOST_ROWS) > 0:
            self._drop(over)

    async def run(self) -> None:
        """Write rows until cancelled."""
        failures = 0
        while True:
            await self._come.wait()
            if (failure := await self._write()) is None:
                failures = 0
            else:
                failures += 1
                await self._clock.wait(asyncio.Event(), BACKOFF.pause(failures, failure))

    async def close(self) -> None:
        """Write what waits, once, and let go of the sink."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                while self._waiting and await self._write() is None:
                    continue
        if self._waiting:
            log.warning("%d rows were not written to %s", len(self._waiting), self.sink.name)
        await self.sink.close()

    async def _write(self) -> SinkUnavailable | None:
        """Write some of the rows that wait; return why the sink did not take them."""
        batch = [row for row, _ in zip(self._waiting.values(), range(BATCH), strict=False)]
        try:
            with self._spans.span(f"write rows to {self.sink.name}", {"tidegate.rows": len(batch)}, is_call=True):
                self.refused += await self.sink.write(batch)
        except SinkUnavailable as error:
            self.failures += 1
            log.warning("%s", error)
            return error
        for row in batch:
            if self._waiting.get(row.key) is row:  # else a newer one has come meanwhile
                del self._waiting[row.key]
        if not self._waiting:
            self._come.clear()
        return None

    def _drop(self, count: int) -> None:
        for key in sorted(self._waiting, key=lambda key: key.start)[:count]:
            del self._waiting[key]
        self.dropped += count
        log.warning("%d rows for %s were dropped: it has been away for too long", count, self.sink.name)
