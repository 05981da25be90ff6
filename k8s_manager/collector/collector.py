"""The collector's loop: follow its share of the gateway pods, close windows, keep rows, forget old ones."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from math import ceil

import msgspec

from collectors.access_log.engine import Engine
from collectors.access_log.rows import WINDOW, StatsRow, unique
from collectors.access_log.shares import reader_of
from collectors.access_log.windows import LATENESS
from collectors.request_statistics.request_totals import RequestTotals
from collectors.request_statistics.row_query import FILE_STEP, RowAnswer, RowQuery, kept_since, packed_rows
from collectors.request_statistics.series import FINE, MINUTE, RowSeries
from istio_templates.facts import ObjectKey
from k8s_manager.collector.gateway_logs import KINDS, GatewayLogs
from k8s_manager.collector.membership import Membership
from k8s_manager.collector.pod_log import PodLog
from k8s_manager.collector.pod_log_source import PodLogSource
from k8s_manager.collector.request_metrics import RequestMetrics
from k8s_manager.collector.row_history import history_of
from k8s_manager.collector.sinks.row_sink import RowSink
from k8s_manager.collector.sinks.sink_queue import SinkQueue
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.kube.store import Store
from k8s_manager.kube.watch import Watcher
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)
MOST_ROWS = 200_000
"""Rows of one answer: 100 points of 2,000 models."""
EVERY = 1.0
"""Seconds between two looks at pods and clock."""


class Collector:
    """Follows the gateway pods of a cluster: all of them, or with a `membership` those that no other member follows."""

    def __init__(
        self, client: KubeClient, clock: Clock, membership: Membership | None = None, sinks: Sequence[RowSink] = ()
    ) -> None:
        self.sinks = [SinkQueue(sink, clock, client.spans) for sink in sinks]
        self._client, self._clock, self.membership = client, clock, membership
        self.store = Store(KINDS, clock)
        self.watchers = [Watcher(client, self.store, RESOURCES[kind], clock) for kind in KINDS]
        now = int(clock.utc().timestamp())
        self.engine, self.series, self.totals = Engine(), RowSeries(), RequestTotals(now // WINDOW * WINDOW)
        self.metrics = RequestMetrics(self.totals, self.engine.counts)
        self._begun = self._since = now - FINE
        self._missing_until = 0
        self._history = history_of(self.sinks)
        if self._history and membership:  # who followed the pods before it started may have its rows too
            self._history.share_all(now)
        self._logs = GatewayLogs(self.store)
        self._members = frozenset[str]()
        self._writing: list[asyncio.Task[None]] = []
        self._followed: dict[str, tuple[PodLog, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Run until cancelled."""
        await self.store.synced.wait()
        writing = self._writing = [asyncio.create_task(queue.run()) for queue in self.sinks]
        try:
            while True:
                with self._client.spans.span("collector pass", {"tidegate.pods": len(self._followed)}):
                    self._look()
                await self._clock.wait(asyncio.Event(), EVERY)
        finally:
            for task in (*writing, *(task for _, task in self._followed.values())):
                task.cancel()
            await asyncio.gather(*writing, return_exceptions=True)
            await asyncio.gather(*(queue.close() for queue in self.sinks))

    async def read(self, query: RowQuery) -> RowAnswer:
        """Return the answer to a query, out of memory and files; raises `HistoryTooLarge`, and `HistoryBusy`."""
        kept = max(self._begun, kept_since(self._clock.utc().timestamp()) + MINUTE)
        bound = min(-(-kept // FILE_STEP) * FILE_STEP, query.end)
        if not (self._history and query.asks_files and query.start < bound):
            return await asyncio.to_thread(self.answer(query))
        memory = self.answer(replace(query, start=bound))
        past = await self._history.read(query, bound, self._begun, MOST_ROWS)
        recent = await asyncio.to_thread(memory)
        lost = max(self._missing_until, self.series.lost_until if self.series.lost_until > bound else 0)
        return msgspec.structs.replace(
            recent,
            rows=[*past.rows, *recent.rows],
            since=lost,
            files_since=min(past.since, bound),
            unwritten=past.unwritten,
            are_files_unreadable=past.are_unreadable,
        )

    def answer(self, query: RowQuery) -> Callable[[], RowAnswer]:
        """Return what makes the answer to a query, of rows as they are now; it may run in another thread."""
        rows = self.series.rows(query.is_about, query.start, query.end)
        begins = range(query.start, query.end)
        fresh = [
            row
            for row in self.engine.unfinished()
            if query.is_about(row.key.place) and row.key.start in begins and self.series.takes(row.key)
        ]
        answer = partial(
            RowAnswer,
            since=max(self._since, self._missing_until, self.series.lost_until),
            unread=self.metrics.unread,
            lag=self.metrics.lag,
            name=self.membership.identity if self.membership else "",
            members=sorted(self._members),
            tells_arms=True,
        )
        return lambda: answer(rows=packed_rows(query, _latest(rows, fresh), self.series.is_shared))

    def _look(self) -> None:
        self.engine.know(self._logs.routes())
        pods = self._logs.pods()
        now = self._clock.utc().timestamp()
        self._note_members(now)
        own = self._share(pods)
        for source in [name for name in self._followed if name not in own]:
            self._leave(source, source in pods, now)
        for source in [name for name in own if name not in self._followed]:
            self._follow(source, pods[source], now)
        for followed, task in self._followed.values():
            followed.rest()
            self._missing_until = max(self._missing_until, ceil(followed.missing_until))
            if task.done():
                task.result()
        for task in self._writing:
            if task.done():
                task.result()
        self.series.age(now)
        self.totals.age(now)
        self._measure()

    def _share(self, pods: dict[str, ObjectKey]) -> set[str]:
        """Return the sources that are this collector's to follow."""
        if self.membership is None:
            return set(pods)
        return {source for source in pods if reader_of(source, self._members) == self.membership.identity}

    def _note_members(self, now: float) -> None:
        """Take over who shares the pods. Of a member that went, only the last quarter of an hour is read again."""
        members = self.membership.members if self.membership else frozenset[str]()
        if self._members - members and members:
            self._since = max(self._since, int(now) - FINE)
        self._members = members

    def _leave(self, source: str, is_taken_over: bool, now: float) -> None:
        followed, task = self._followed.pop(source)
        task.cancel()
        if is_taken_over:  # who follows it now has the windows that are open whole
            self._note_shared(source, now)
            self.series.put(self.engine.end(source))
        else:
            followed.end()
        log.info("the gateway pod %s is %s", source, "followed by another collector" if is_taken_over else "gone")

    def _follow(self, source: str, pod: ObjectKey, now: float) -> None:
        since = int(now) - FINE
        if self.membership is not None:
            self._note_shared(source, now)
            self.totals.begin(source, int(now - LATENESS.open) // WINDOW * WINDOW)
        followed = PodLog(
            source, PodLogSource(self._client, self.store, pod), since, self.engine, self._keep, self._clock
        )
        self._followed[source] = followed, asyncio.create_task(followed.run())
        log.info("following the log of the gateway pod %s", source)

    def _note_shared(self, source: str, now: float) -> None:
        """Keep the rows of a source by themselves: another collector counts the same lines, now or until now."""
        until = int(now) + LATENESS.late
        self.series.share(source, until)
        if self._history:
            self._history.share(source, until)

    def _keep(self, rows: list[StatsRow]) -> None:
        self.totals.add(self.series.put(rows))
        for queue in self.sinks:
            queue.put(rows)

    def _measure(self) -> None:
        self.metrics.pods = len(self._followed)
        self.metrics.lag = max((followed.lag() for followed, _ in self._followed.values()), default=0.0)
        self.metrics.sink_failures = {queue.sink.name: queue.failures for queue in self.sinks}
        self.metrics.sink_refused = {queue.sink.name: queue.refused for queue in self.sinks}
        self.metrics.sink_dropped = {queue.sink.name: queue.dropped for queue in self.sinks}
        self.metrics.sink_waiting = {queue.sink.name: queue.waiting for queue in self.sinks}
        self.metrics.unread = sum(followed.problem is not None for followed, _ in self._followed.values())


def _latest(rows: Iterator[StatsRow], fresh: list[StatsRow]) -> Iterator[StatsRow]:
    """Yield rows, each as it stands where it is still to be emitted again."""
    by_key = {row.key: row for row in fresh}
    return chain((unique([row, by_key.pop(row.key, row)])[0] for row in rows), by_key.values())
