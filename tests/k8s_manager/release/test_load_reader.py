"""The requests of a model over weeks and of now, as collectors have them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collectors.access_log.rows import RowPlace
from k8s_manager.release.load_reader import LoadReader
from k8s_manager.release.quiet_hours import ModelLoad
from k8s_manager.release.windows.local_week import moment_of
from k8s_manager.statistics.collector_pool import CollectorPool
from tests.k8s_manager.autoscaling.readings.scene import CLOCK, UTC_NOW, SetClock
from tests.support.fake_collector import FakeCollector, stats_row
from tests.support.serving import serving
from tests.support.waiting import until

NOW = UTC_NOW.timestamp()
END = int(NOW - 20) // 300 * 300
MODEL = RowPlace("model", tenant="search", model="ranker")
FILES = {"files_since": 1}


@asynccontextmanager
async def reader(collector: FakeCollector) -> AsyncIterator[LoadReader]:
    async with serving("/rows", collector.answer) as port:
        yield LoadReader(CollectorPool(f"http://127.0.0.1:{port}", None), CLOCK)


async def read(loads: LoadReader) -> ModelLoad:
    """Return the load once the weeks have been read."""

    async def known() -> ModelLoad | None:
        found = await loads.load("search", "ranker")
        return found if found.history or found.flaw else None

    return await until(known, "the weeks being read")  # type: ignore[arg-type]


async def test_weeks_are_five_minutes_each_and_where_no_row_is_there_was_no_request():
    rows = [stats_row(MODEL, END - 1200, ok=300), stats_row(MODEL, END - 600, ok=30, limited=30)]
    collector = FakeCollector(*rows)
    collector.about = FILES
    async with reader(collector) as loads:
        assert (await loads.load("search", "ranker")).history is None
        found = await read(loads)
    assert found.history is not None and list(found.history.rates) == [1.0, 0.0, 0.2, 0.0]
    assert found.history.begins == moment_of((END - 1200) // 300)


async def test_the_rate_is_that_of_the_last_five_minutes():
    collector = FakeCollector(stats_row(MODEL, int(NOW) // 10 * 10 - 60, ok=600, limited=300))
    collector.about = FILES
    async with reader(collector) as loads:
        assert (await loads.load("search", "ranker")).rate == pytest.approx(3.0)


async def test_collectors_without_files_know_some_hours():
    async with reader(FakeCollector(stats_row(MODEL, END - 600, ok=300))) as loads:
        found = await read(loads)
    assert found.history is not None and len(found.history.rates) == 2


async def test_weeks_that_are_counted_in_part_are_none_and_say_why():
    collector = FakeCollector(stats_row(MODEL, END - 600, ok=300))
    collector.about = {**FILES, "unread": 2}
    async with reader(collector) as loads:
        found = await read(loads)
    assert found.history is None and "the logs of 2 gateway pods cannot be read; look at" in found.flaw
    assert found.rate is None


async def test_weeks_are_read_once_in_an_hour():
    collector = FakeCollector(stats_row(MODEL, END - 600, ok=300))
    collector.about = FILES
    async with reader(collector) as loads:
        await read(loads)
        before = len(collector.asked)
        await asyncio.gather(*(loads.load("search", "ranker") for _ in range(3)))
    assert len(collector.asked) == before + 3


class MovedClock(SetClock):
    """The clock of the scene, some seconds later."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


async def test_weeks_hold_while_they_are_read_again():
    collector, clock = FakeCollector(stats_row(MODEL, END - 600, ok=300)), MovedClock()
    collector.about = FILES
    async with serving("/rows", collector.answer) as port:
        loads = LoadReader(CollectorPool(f"http://127.0.0.1:{port}", None), clock)
        before = await read(loads)
        clock.ahead = 3700.0
        assert (await loads.load("search", "ranker")).history is before.history

        async def is_newer() -> bool:
            return (await loads.load("search", "ranker")).history is not before.history

        await until(is_newer, "the weeks being read again")


async def test_without_collectors_there_is_no_history():
    found = await LoadReader(None, CLOCK).load("search", "ranker")
    assert found.history is not None and not found.history.rates and "start collectors" in found.flaw
