"""The loop of a collector that reads lines from Kafka: lines in, rows out, then the offsets."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from collectors.access_log.engine import Engine
from collectors.access_log.rows import WINDOW, RowKey, StatsRow
from collectors.access_log.windows import LATENESS
from collectors.request_statistics.request_totals import RequestTotals
from collectors.request_statistics.series import RowSeries
from k8s_manager.collector.kafka.cluster import KafkaCluster
from k8s_manager.collector.kafka.line_topic import LineBatch, LineTopic
from k8s_manager.collector.kafka.partition_state import OwnedPartition
from k8s_manager.collector.request_metrics import RequestMetrics
from k8s_manager.collector.sinks.row_sink import RowSink, SinkUnavailable
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder

log = logging.getLogger(__name__)
T = TypeVar("T")
BACKOFF = Backoff(0.5, 10.0)
LOOK = 1.0
"""Seconds between two questions to the brokers about silent partitions, and between two commits."""
SILENT = 1.5
"""Seconds of silence after which a partition was read to its end."""
LATE = 300
"""Seconds: shippers that had no broker catch up at different speeds."""


class LineCollector:
    """Reads the lines of a topic as one member of a group, and gives their rows to sinks.

    One turn: read, count, write until all sinks have acknowledged, commit. So what is committed is always in the sinks.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        topic: str,
        group: str,
        sinks: Sequence[RowSink],
        clock: Clock,
        late: int = LATE,
        spans: SpanRecorder = NO_SPANS,
    ) -> None:
        self._spans = spans
        self.engine, self._clock, self._sinks = Engine(lateness=replace(LATENESS, late=late)), clock, sinks
        self.topic = LineTopic(cluster, topic, group, self.engine, self._forget)
        now = int(clock.utc().timestamp())
        self.series, self.totals = RowSeries(), RequestTotals(now // WINDOW * WINDOW)
        self.metrics = RequestMetrics(self.totals, self.engine.counts)
        self.problem: str | None = None
        self.refused = 0
        """Rows that a sink refuses for ever."""
        self._pending: dict[RowKey, StatsRow] = {}
        self._thread = ThreadPoolExecutor(1, "kafka")
        self._looked_at = clock.now()

    async def run(self) -> None:
        """Run until cancelled; then commit and leave the group."""
        try:
            while True:
                with self._spans.span("collector pass", {"tidegate.partitions": len(self.topic.owned)}):
                    await self._turn()
        finally:
            self.topic.stop()
            await self._call(self.topic.close)
            self._thread.shutdown(wait=False)
            for sink in self._sinks:
                await sink.close()

    async def _turn(self) -> None:
        batches = await self._call(self.topic.read)
        now = self._clock.utc().timestamp()
        for number, batch in batches.items():
            self._count(self.topic.owned[number], batch, now)
        is_due = self._clock.now() - self._looked_at >= LOOK
        if is_due:
            self._looked_at = self._clock.now()
            await self._call(self._look)
            self._rest()
        await self._write()
        if is_due:
            await self._call(self.topic.commit)
            self.series.age(now)
            self.totals.age(now)
            self._measure(now)

    def _count(self, owned: OwnedPartition, batch: LineBatch, now: float) -> None:
        rows = self.engine.feed(owned.source, batch.lines, now)
        owned.feed(now)
        self._emit(owned, batch.first, batch.after, rows)

    def _look(self) -> None:
        """Ask what is behind the positions; where one broker does not answer, the others are not waited for."""
        is_away = False
        for number, owned in list(self.topic.owned.items()):
            lag = None if is_away else self.topic.look(number)
            is_away = lag is None
            owned.look(lag, self._clock.now())

    def _rest(self) -> None:
        """Close windows by the clock, where a partition has been read to its end."""
        for owned in self.topic.owned.values():
            if owned.fed_at is not None and owned.quiet > SILENT:
                rows = self.engine.rest(owned.source, owned.fed_at + owned.quiet)
                self._emit(owned, owned.progress.next, owned.progress.next, rows)

    def _emit(self, owned: OwnedPartition, first: int, after: int, rows: Sequence[StatsRow]) -> None:
        owned.progress.feed(first, after, self.engine.windows(owned.source), {row.key.start for row in rows})
        self._pending |= {row.key: row for row in owned.revised(rows)}

    async def _write(self) -> None:
        """Give the rows to all sinks, again and again until each has acknowledged them."""
        failures = 0
        while self._pending:
            rows = list(self._pending.values())
            try:
                refused = [await self._write_to(sink, rows) for sink in self._sinks]
            except SinkUnavailable as error:
                failures += 1
                if self.problem is None:
                    log.warning("%s", error)
                self.problem = str(error)
                await self._call(partial(self.topic.hold, BACKOFF.pause(failures)))
                continue
            self.refused += sum(refused)
            self.totals.add(self.series.put(rows))
            self._pending.clear()
            for owned in self.topic.owned.values():
                owned.progress.acknowledge()
        self.problem = None  # rows of partitions that were lost meanwhile are the matter of others

    async def _write_to(self, sink: RowSink, rows: Sequence[StatsRow]) -> int:
        with self._spans.span(f"write rows to {sink.name}", {"tidegate.rows": len(rows)}, is_call=True):
            return await sink.write(rows)

    def _forget(self, source: str) -> None:
        """Drop the rows of a partition that another member reads now: it makes them again."""
        for key in [key for key in self._pending if key.source == source]:
            del self._pending[key]

    def _measure(self, now: float) -> None:
        marks = [self.engine.watermark(owned.source) for owned in self.topic.owned.values() if owned.lag]
        behind = [now - mark for mark in marks if mark]
        self.metrics.lag = max(behind, default=0.0)

    async def _call(self, call: Callable[[], T]) -> T:
        """Make a call of the topic in the thread that makes all of them, one after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
