"""Rows that are no longer in a collector's memory come out of its files: each counts once, wherever it lies."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from collectors.access_log.engine import Engine
from collectors.access_log.rows import WINDOW, StatsRow
from collectors.request_statistics.row_query import (
    FILE_STEP,
    RowAnswer,
    RowQuery,
    fine_since,
    merged_rows,
    unpacked_rows,
)
from collectors.request_statistics.series import COARSE, FINE
from k8s_manager.collector import row_history
from k8s_manager.collector.collector import Collector
from k8s_manager.collector.row_history import HistoryBusy
from k8s_manager.collector.sinks import parquet_rows, parquet_sink
from k8s_manager.collector.sinks.parquet_rows import HistoryTooLarge, ParquetRows, RowSelection
from k8s_manager.collector.sinks.parquet_sink import FolderTaken, ParquetSink
from k8s_manager.kube.client import KubeClient
from tests.collectors.access_log.lines import LIMITED, line
from tests.k8s_manager.collector.test_parquet_sink import BEGIN, HandClock, files_of, row

PODS = ("gw/a", "gw/b", "gw/it's")
HOURS = 9
END = BEGIN + HOURS * 3600


class FileCollector:
    """A collector with files, whose lines, clock and handovers are the test's."""

    def __init__(self, folder: Path, clock: HandClock, shares: bool = True) -> None:
        self.folder, self.clock, self.shares = folder, clock, shares
        self.start()

    def start(self) -> None:
        """Begin as a new process does: with an empty memory, and the files of the one before."""
        no_session: Any = None
        self.collector = Collector(
            KubeClient("http://127.0.0.1:1", no_session), self.clock, None, [ParquetSink(self.folder, self.clock)]
        )
        if self.shares and self.collector._history:
            self.collector._history.share_all(int(self.clock.at))

    def read(self, pod: str, start: int, end: int) -> None:
        engine = Engine()
        engine.begin(pod, start // WINDOW * WINDOW)
        self.collector._keep(engine.feed(pod, lines_of(pod, start, end)))
        self.collector._keep(engine.end(pod))

    def note_shared(self, pod: str) -> None:
        self.collector._note_shared(pod, self.clock.at)

    async def pass_time(self) -> None:
        """Age the memory, and write what waits."""
        self.collector.series.age(self.clock.at)
        (queue,) = self.collector.sinks
        while queue.waiting:
            assert await queue._write() is None
        await queue.sink.write([])

    async def stop(self) -> None:
        await self.pass_time()
        await self.collector.sinks[0].sink.close()

    async def rows(self, query: RowQuery) -> list[StatsRow]:
        answer = await self.collector.read(query)
        return unpacked_rows(query, msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=RowAnswer).rows)


def lines_of(pod: str, start: int, end: int) -> list[bytes]:
    """Return a request each 90 seconds or so, in a share of their own for each pod."""
    step = 89 + 7 * PODS.index(pod)
    moments = range(BEGIN, end, step)
    return [line(moment, **(LIMITED if moment % 3 else {})) for moment in moments if moment >= start]


def query_at(now: float, level: str, step: int, start: int = BEGIN) -> RowQuery:
    fine = -(-fine_since(now) // FILE_STEP) * FILE_STEP
    return RowQuery(level, start // step * step, int(now) // step * step + step, step, fine, grain=FILE_STEP)


def whole(query: RowQuery) -> list[StatsRow]:
    """Return the answer of one who keeps everything for ever."""
    rows = list[StatsRow]()
    for pod in PODS:
        engine = Engine()
        rows += [*engine.feed(pod, lines_of(pod, BEGIN, END)), *engine.end(pod)]
    return merged_rows(query, [row for row in rows if query.is_about(row.key.place)])


def figures(rows: Iterable[StatsRow]) -> list[Any]:
    """Return what rows say, but for the revision."""
    return [(row.key, row.counts, row.bytes_in, row.bytes_out, row.latency_sum, row.latency) for row in rows]


@settings(deadline=None, max_examples=5, phases=(Phase.explicit, Phase.generate))  # an example takes seconds
@given(
    st.lists(
        st.tuples(
            st.integers(1, HOURS * 3600 - 1), st.sampled_from(PODS), st.sampled_from(["moves", "restarts", "dies"])
        ),
        max_size=5,
    ),
    st.sampled_from(["platform", "model", "version"]),
    st.sampled_from([300, 3600]),
)
def test_any_division_between_memory_files_and_collectors_gives_the_same_sums(
    events: list[tuple[int, str, str]], level: str, step: int
) -> None:
    asyncio.run(_compare(events, level, step))


async def _compare(events: list[tuple[int, str, str]], level: str, step: int) -> None:
    clock = HandClock()
    with TemporaryDirectory() as folder:
        both = [FileCollector(Path(folder) / name, clock) for name in ("one", "two")]
        reader, since = dict.fromkeys(PODS, 0), dict.fromkeys(PODS, BEGIN)

        def read(pod: str, until: int) -> None:
            both[reader[pod]].read(pod, since[pod], until)
            since[pod] = until

        async def follow(pod: str, number: int, at: int) -> None:
            reader[pod], since[pod] = number, max(BEGIN, at - FINE)
            both[number].note_shared(pod)

        ticks = [(at, "", "tick") for at in range(1800, HOURS * 3600 + 1, 1800)]
        for moment, pod, event in sorted([*events, *ticks]):
            at = BEGIN + moment
            clock.at = at
            for each in PODS:
                read(each, at // WINDOW * WINDOW)
            if event == "moves":
                read(pod, at)
                both[reader[pod]].note_shared(pod)
                await follow(pod, 1 - reader[pod], at)
            elif event != "tick":
                number = reader[pod]
                own = [each for each in PODS if reader[each] == number]
                for each in own:
                    read(each, at)
                await both[number].stop()
                both[number].start()
                for each in own:
                    await follow(each, number if event == "restarts" else 1 - number, at)
            for collector in both:
                await collector.pass_time()
        query = query_at(clock.at, level, step)
        found = [found for collector in both for found in await collector.rows(query)]
        assert figures(merged_rows(query, found)) == figures(whole(query))
        for collector in both:
            await collector.stop()


async def test_what_memory_has_forgotten_and_a_process_before_counted_is_in_the_answer(tmp_path: Path) -> None:
    clock = HandClock()
    collector = FileCollector(tmp_path / "rows", clock, shares=False)
    for at in range(BEGIN, END, 1200):
        clock.at = at + 1200
        for pod in PODS:
            collector.read(pod, at, at + 1200)
        await collector.pass_time()
    query = query_at(clock.at, "model", FILE_STEP)
    memory = unpacked_rows(query, collector.collector.answer(query)().rows)
    assert min(found.key.start for found in memory) > END - COARSE - FILE_STEP
    assert figures(merged_rows(query, await collector.rows(query))) == figures(whole(query))
    assert files_of(tmp_path / "rows")["hour"] > 0
    await collector.stop()
    collector.start()
    for pod in PODS:
        collector.read(pod, END - FINE, END)
    assert figures(merged_rows(query, await collector.rows(query))) == figures(whole(query))
    await collector.stop()


async def test_a_source_that_changed_hands_stays_apart_in_files_and_others_do_not(tmp_path: Path) -> None:
    clock = HandClock(BEGIN + 600)
    collector = FileCollector(tmp_path, clock, shares=False)
    for pod in PODS:
        collector.read(pod, BEGIN, BEGIN + 600)
    collector.note_shared(PODS[2])
    await collector.pass_time()
    for at in (BEGIN + 3600 + 1200, BEGIN + 3600 + 2400):
        clock.at = at
        await collector.pass_time()
    assert files_of(tmp_path)["hour"] == 1
    rows = list(ParquetRows(tmp_path).rows(RowSelection("model", BEGIN, END)))
    assert {found.key.source for found in rows} == {""}, "who reads one store adds up"
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT DISTINCT source FROM read_parquet('{tmp_path}/hour/*.parquet')").fetchall()
    assert {source for (source,) in found} == {"", PODS[2]}
    await collector.stop()


async def test_rows_that_wait_for_files_and_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    clock = HandClock(END)
    collector = FileCollector(tmp_path, clock, shares=False)
    await collector.pass_time()
    collector.collector._keep([row(BEGIN), row(BEGIN + 10)])
    query = query_at(clock.at, "platform", FILE_STEP)
    answer = await collector.collector.read(query)
    assert (answer.unwritten, answer.are_files_unreadable) == (2, False)
    assert await collector.collector.sinks[0]._write() is None
    answer = await collector.collector.read(query)
    assert (answer.unwritten, len(answer.rows)) == (0, 1)
    (file,) = (tmp_path / "batch").iterdir()
    file.write_bytes(b"PAR1 no longer")
    answer = await collector.collector.read(query)
    assert answer.are_files_unreadable and not answer.rows
    await collector.collector.sinks[0].sink.close()


async def test_what_is_too_much_or_takes_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock(END)
    collector = FileCollector(tmp_path, clock, shares=False)
    collector.collector.sinks[0].put([row(BEGIN + 10 * number) for number in range(600)])
    await collector.pass_time()
    query = query_at(clock.at, "platform", FILE_STEP)
    history = collector.collector._history
    assert history is not None
    with pytest.raises(HistoryTooLarge, match="more than 3 rows"):
        await history.read(query, END, BEGIN, 3)
    history._asking = row_history.AT_ONCE
    with pytest.raises(HistoryBusy):
        await history.read(query, END, BEGIN, 100)
    history._asking = 0
    slow = parquet_rows._query
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range % 7 = b.range % 11 AND $level <> ''"
    monkeypatch.setattr(row_history, "SECONDS", 0.2)
    monkeypatch.setattr(parquet_rows, "_query", lambda *_: endless)
    with pytest.raises(HistoryTooLarge, match=r"within 0\.2 s"):
        await history.read(query, END, BEGIN, 100)
    monkeypatch.setattr(parquet_rows, "_query", slow)
    monkeypatch.setattr(row_history, "SECONDS", 60.0)
    assert len((await history.read(query, END, BEGIN, 100)).rows) == 20, "the next one is answered"
    await collector.stop()


async def test_a_folder_that_another_collector_writes_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_sink, "TAKE_SECONDS", 0.0)
    one, other = ParquetSink(tmp_path, HandClock()), ParquetSink(tmp_path, HandClock())
    await one.take()
    with pytest.raises(FolderTaken, match="give each collector a folder of its own"):
        await other.take()
    await one.close()
    await other.take()
    await other.close()


async def test_files_begin_when_their_folder_was_made(tmp_path: Path) -> None:
    assert ParquetRows(tmp_path / "rows").since() is None
    sink = ParquetSink(tmp_path / "rows", HandClock())
    await sink.take()
    made = int((tmp_path / "rows" / "lock").stat().st_mtime)
    assert ParquetRows(tmp_path / "rows").since() == made
    await sink.write([row(BEGIN)])
    await sink.close()
    assert ParquetRows(tmp_path / "rows").since() == made


async def test_files_that_went_are_told(tmp_path: Path) -> None:
    clock = HandClock(BEGIN + 10)
    sink = ParquetSink(tmp_path, clock)
    await sink.write([row(BEGIN)])
    os.utime(tmp_path / "lock", (BEGIN, BEGIN))
    for days in (2, 36):
        clock.at = BEGIN + days * 86_400 + 1200
        await sink.write([row(int(clock.at) // WINDOW * WINDOW)])
    assert ParquetRows(tmp_path).since() == BEGIN + 86_400
    await sink.close()
