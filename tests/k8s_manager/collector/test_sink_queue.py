"""Rows wait for a sink that is away; the newest of each is written, and too many are dropped and counted."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager

import pytest

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import RowKey, RowPlace, StatsRow
from k8s_manager.collector.sinks import sink_queue
from k8s_manager.collector.sinks.row_sink import SinkUnavailable
from k8s_manager.collector.sinks.sink_queue import SinkQueue
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import SystemClock
from tests.support.waiting import until


class ListSink:
    """Keeps rows in a list, unless it is away; each write takes as long as the test wants."""

    name = "a list"

    def __init__(self) -> None:
        self.rows: list[StatsRow] = []
        self.is_away, self.is_closed = False, False
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def write(self, rows: Sequence[StatsRow]) -> int:
        await self.may_end.wait()
        if self.is_away:
            raise SinkUnavailable(self.name, "it is away")
        self.rows += rows
        return sum(row.key.source == "bad" for row in rows)

    async def close(self) -> None:
        self.is_closed = True


def row(start: int, count: int = 1, revision: int = 0, source: str = "gw/a") -> StatsRow:
    key = RowKey(RowPlace("platform"), start, source)
    return StatsRow(key, revision, (count,) + (0,) * (len(OUTCOMES) - 1), 0, 0, 0, {})


@asynccontextmanager
async def running(queue: SinkQueue):
    task = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_queue, "BACKOFF", Backoff(0.01, 0.02))


async def test_rows_that_wait_for_a_sink_are_written_when_it_is_back() -> None:
    sink = ListSink()
    queue = SinkQueue(sink, SystemClock())
    sink.is_away = True
    async with running(queue):
        queue.put([row(0), row(10)])
        await until(lambda: queue.failures >= 2, "the sink being tried again")
        queue.put([row(0, 5, 1), row(20)])
        sink.is_away = False
        await until(lambda: not queue.waiting, "all rows being written")
    assert {(one.key.start, one.requests) for one in sink.rows} == {(0, 5), (10, 1), (20, 1)}


async def test_a_row_that_is_made_newer_while_it_is_written_is_written_again() -> None:
    sink = ListSink()
    queue = SinkQueue(sink, SystemClock())
    sink.may_end.clear()
    async with running(queue):
        queue.put([row(0)])
        await asyncio.sleep(0)
        queue.put([row(0, 2, 1)])
        sink.may_end.set()
        await until(lambda: not queue.waiting, "both revisions being written")
    assert [one.requests for one in sink.rows][-1] == 2


async def test_what_is_too_much_goes_the_oldest_first_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_queue, "MOST_ROWS", 3)
    queue = SinkQueue(ListSink(), SystemClock())
    queue.put([row(start) for start in (40, 10, 30, 20, 50)])
    assert (queue.waiting, queue.dropped) == (3, 2)
    await queue.close()
    assert sorted(one.key.start for one in queue.sink.rows) == [30, 40, 50] and queue.sink.is_closed


async def test_what_is_refused_for_ever_is_counted_and_not_tried_again() -> None:
    queue = SinkQueue(ListSink(), SystemClock())
    async with running(queue):
        queue.put([row(0), row(10, source="bad")])
        await until(lambda: not queue.waiting, "both being done with")
    assert (queue.refused, queue.failures) == (1, 0)


async def test_the_end_does_not_wait_for_a_sink_that_is_away() -> None:
    sink = ListSink()
    sink.is_away = True
    queue = SinkQueue(sink, SystemClock())
    queue.put([row(0)])
    await queue.close()
    assert sink.is_closed and queue.waiting == 1
