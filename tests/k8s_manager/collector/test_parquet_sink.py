"""Rows in Parquet files: kept for good, once each, coarser with age, within bounds."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import duckdb
import pytest

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import LEVELS, WINDOW, RowKey, RowPlace, StatsRow, unique
from collectors.request_statistics.row_query import FILE_STEP as STEP
from collectors.request_statistics.row_query import without_arms
from collectors.request_statistics.series import in_steps
from k8s_manager.collector.sinks.parquet_compaction import EVERY, QUIET, HistoryBounds
from k8s_manager.collector.sinks.parquet_files import DAY, HOUR, SPANS
from k8s_manager.collector.sinks.parquet_rows import ParquetRows, RowSelection
from k8s_manager.collector.sinks.parquet_sink import ParquetSink
from k8s_manager.collector.sinks.parquet_sql import DuckDbMissing
from k8s_manager.collector.sinks.row_sink import SinkUnavailable
from k8s_manager.runtime.clock import SystemClock

BEGIN = 1_764_374_400
"""The start of a day, in epoch seconds."""
ROOT = Path(__file__).parents[3]
PLACES = (
    RowPlace("platform"),
    RowPlace("gateway", "shared"),
    *(RowPlace("version", "", "search", "ranker", "v2", arm) for arm in ("", "testers")),
    *(RowPlace("model", "", tenant, model) for tenant in ("search", "ads") for model in ("ranker", "it's")),
)


class HandClock(SystemClock):
    """A wall clock that the test sets, in epoch seconds."""

    def __init__(self, at: float = BEGIN) -> None:
        self.at = at

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


def row(
    start: int, place: RowPlace = PLACES[0], requests: int = 1, revision: int = 0, source: str = "gw-0"
) -> StatsRow:
    counts = (requests, *(0 for _ in OUTCOMES[1:]))
    return StatsRow(RowKey(place, start, source), revision, counts, 10, 100, 5000, {217: requests} if requests else {})


def some_rows(random: Random, start: int) -> list[StatsRow]:
    """Return rows of one window."""
    return [
        StatsRow(
            key=RowKey(place, start, source),
            revision=0,
            counts=tuple(random.choice((0, 0, random.randrange(1000))) for _ in OUTCOMES),
            bytes_in=random.randrange(10**9),
            bytes_out=random.randrange(10**9),
            latency_sum=random.randrange(10**9),
            latency={random.randrange(400): random.randrange(1, 99) for _ in range(random.randrange(5))},
        )
        for place in PLACES
        for source in ("gw-0", "gw-1")
    ]


def read(root: Path, start: int = 0, end: int = 2**40, **names: str) -> list[StatsRow]:
    rows = ParquetRows(root)
    return [row for level in LEVELS for row in rows.rows(RowSelection(level, start, end, names=names, arms=True))]


def expected(rows: list[StatsRow]) -> list[StatsRow]:
    """Return what is read of rows: each once, over sources and five minutes."""
    steps = [replace(found, revision=0) for found in in_steps(unique(rows), STEP)]
    return sorted(steps, key=lambda found: (LEVELS.index(found.key.place.level), found.key.start, found.key.place))


def files_of(root: Path) -> dict[str, int]:
    return {kind: len(list((root / kind).iterdir())) for kind in SPANS}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Have the system refuse to make any file longer than some bytes, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "it's rows"


async def test_rows_are_the_same_in_every_age(root: Path):
    clock, random = HandClock(), Random(7)
    sink = ParquetSink(root, clock)
    written: list[StatsRow] = []
    for start in range(BEGIN, BEGIN + 7200, 310):
        clock.at = start + 15
        rows = some_rows(random, start // WINDOW * WINDOW)
        written += rows
        assert await sink.write(rows) == 0
        if start % 3 == 0:
            since = start - 600
            assert read(root, since) == [found for found in expected(written) if found.key.start > since - STEP]
    seen = []
    for at in (
        BEGIN + 7200 + EVERY,
        BEGIN + 7200 + QUIET + EVERY,
        BEGIN + SPANS[DAY] + QUIET,
        clock.at + 2 * SPANS[DAY],
    ):
        clock.at = at
        await sink.write([])
        assert read(root) == expected(written)
        seen.append({kind for kind, count in files_of(root).items() if count})
    await sink.close()
    assert seen[0] == {"slot", "hour"} and seen[-1] == {"day"}
    other = ParquetSink(root, clock)
    await other.write([])
    assert files_of(root) == {"batch": 0, "slot": 0, "hour": 0, "day": 1}
    assert read(root) == expected(written)
    await other.close()


async def test_a_row_that_comes_again_replaces_the_one_before(root: Path):
    clock = HandClock(BEGIN + 15)
    sink = ParquetSink(root, clock)
    await sink.write([row(BEGIN, requests=1), row(BEGIN + 10, requests=5), row(BEGIN, requests=2, revision=1)])
    assert [(found.requests, found.latency) for found in read(root)] == [(7, {217: 7})], "of one batch"
    await sink.write([row(BEGIN, requests=3, revision=2)])
    assert [found.requests for found in read(root)] == [8], "of another batch"
    clock.at += EVERY
    await sink.write([row(BEGIN, requests=4, revision=3)])
    assert files_of(root)["slot"] == 1
    assert [found.requests for found in read(root)] == [9]
    clock.at += 2 * EVERY
    await sink.write([row(BEGIN, requests=6, revision=4), row(BEGIN, requests=4, revision=3)])
    await sink.close()
    again = ParquetSink(root, clock)
    await again.write([row(BEGIN, requests=6, revision=4), row(BEGIN, requests=1, source="gw-1")])
    assert [(found.requests, found.latency, found.bytes_in) for found in read(root)] == [(12, {217: 12}, 30)]
    await again.close()


async def test_an_hour_that_was_quiet_is_closed_and_takes_no_more(root: Path):
    clock = HandClock(BEGIN + 3600)
    sink = ParquetSink(root, clock)
    await sink.write([row(BEGIN)])
    clock.at = BEGIN + 3600 + QUIET - 1
    assert await sink.write([row(BEGIN, requests=2, revision=1)]) == 0
    clock.at += QUIET - 1
    assert await sink.write([row(BEGIN + 3600)]) == 0
    assert files_of(root)["hour"] == 0, "a row has come meanwhile"
    clock.at += EVERY
    assert await sink.write([]) == 0
    assert files_of(root)["hour"] == 1
    assert await sink.write([row(BEGIN, requests=3, revision=2), row(BEGIN + 3600, requests=5, revision=1)]) == 1
    assert sink.too_late == 1
    assert [found.requests for found in read(root)] == [2, 5]
    await sink.close()


async def test_rows_that_could_not_be_written_for_a_day_are_all_taken_then(root: Path):
    clock = HandClock(BEGIN + 2 * SPANS[DAY])
    sink = ParquetSink(root, clock)
    for start in range(BEGIN, BEGIN + SPANS[DAY], 1800):
        assert await sink.write([row(start)]) == 0
        clock.at += EVERY
    clock.at += QUIET
    await sink.write([])
    assert files_of(root)["day"] == 1
    assert sum(found.requests for found in read(root)) == 48
    await sink.close()


async def test_levels_times_and_names_select(root: Path):
    clock = HandClock(BEGIN + 1000)
    sink = ParquetSink(root, clock)
    await sink.write([row(BEGIN + step * 300, place) for step in range(3) for place in PLACES])

    def rows(level: str, start: int, end: int, **names: str) -> Iterator[StatsRow]:
        return ParquetRows(root).rows(RowSelection(level, start, end, names=names))

    assert [found.key.start - BEGIN for found in rows("platform", BEGIN + 1, BEGIN + 600)] == [0, 300]
    assert [found.key.place for found in rows("model", BEGIN, BEGIN + 1, tenant="ads", model="it's")] == [PLACES[-1]]
    assert len(list(rows("gateway", 0, 2**40, gateway="shared"))) == 3
    assert list(rows("gateway", 0, 2**40, gateway="other")) == list(rows("tenant", 0, 2**40)) == []
    assert {(found.key.source, found.revision) for found in rows("model", 0, 2**40)} == {("", 0)}
    await sink.close()


def test_a_folder_without_files_has_no_rows(tmp_path: Path):
    assert read(tmp_path) == []


async def test_the_oldest_files_go_when_all_are_too_much(root: Path):
    clock = HandClock()
    sink = ParquetSink(root, clock, HistoryBounds(size=30_000))
    for day in range(12):
        clock.at = BEGIN + day * SPANS[DAY] + 10
        await sink.write([row(BEGIN + day * SPANS[DAY], place) for place in PLACES])
        clock.at += SPANS[DAY] - 100
        await sink.write([])
    days = sorted({found.key.start // SPANS[DAY] for found in read(root)})
    assert days == list(range(days[0], BEGIN // SPANS[DAY] + 12)), "what is left is the newest"
    assert sink.forgotten == 12 - len(days) > 0
    assert sum(file.stat().st_size for file in root.rglob("*.parquet")) <= 30_000 + 10_000
    assert await sink.write([row(BEGIN)]) == 1, "what was forgotten does not begin again"
    await sink.close()


async def test_what_is_older_than_five_weeks_goes(root: Path):
    clock = HandClock(BEGIN + 10)
    sink = ParquetSink(root, clock)
    await sink.write([row(BEGIN)])
    for days in (2, 20, 35):
        clock.at = BEGIN + days * SPANS[DAY] + QUIET
        await sink.write([row(int(clock.at) // WINDOW * WINDOW)])
        assert BEGIN in {found.key.start for found in read(root)}
    clock.at = BEGIN + 36 * SPANS[DAY]
    await sink.write([])
    assert BEGIN not in {found.key.start for found in read(root)}
    assert sink.forgotten == 0
    await sink.close()


@pytest.mark.parametrize("size", [0, 100, 2000])
async def test_a_full_disk_is_said_and_nothing_is_lost_or_counted_twice(root: Path, size: int):
    clock = HandClock(BEGIN + 15)
    sink = ParquetSink(root, clock)
    first, second = some_rows(Random(1), BEGIN), some_rows(Random(2), BEGIN + 10)
    await sink.write(first)
    clock.at += EVERY
    with files_of_at_most(size), pytest.raises(SinkUnavailable, match="it's rows"):
        await sink.write(second)
    assert read(root) == expected(first)
    assert list((root / "tmp").iterdir()) == []
    await sink.write(second)
    assert read(root) == expected([*first, *second])
    await sink.close()


async def test_a_place_that_is_no_folder_is_said(tmp_path: Path):
    (tmp_path / "rows").write_text("")
    sink = ParquetSink(tmp_path / "rows", HandClock())
    with pytest.raises(SinkUnavailable, match="rows"):
        await sink.write([row(BEGIN)])


async def test_a_folder_has_one_writer(root: Path):
    one, other = ParquetSink(root, HandClock()), ParquetSink(root, HandClock())
    await one.write([row(BEGIN)])
    with pytest.raises(SinkUnavailable, match="another process writes to it"):
        await other.write([row(BEGIN + 10)])
    await one.close()
    await other.write([row(BEGIN + 10)])
    assert [found.requests for found in read(root)] == [2]
    await other.close()


async def test_what_a_killed_process_has_left_is_removed(root: Path):
    clock = HandClock(BEGIN + 15)
    sink = ParquetSink(root, clock)
    await sink.write([row(BEGIN, requests=3)])
    await sink.close()
    slots = [root / "slot" / file.name for file in (root / "slot").iterdir()]
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp" / "batch-1.parquet").write_bytes(b"PAR1 half")
    clock.at = BEGIN + 3600 + QUIET
    again = ParquetSink(root, clock)
    await again.write([])
    clock.at += QUIET
    kept = shutil.copytree(root / "slot", root.parent / "slots")
    await again.write([])
    await again.close()
    shutil.copytree(kept, root / "slot", dirs_exist_ok=True)
    assert [found.requests for found in read(root)] == [3], "a finer file beside the coarser one is not read"
    last = ParquetSink(root, clock)
    await last.write([])
    assert [file for file in slots if file.exists()] == list((root / "tmp").iterdir()) == []
    assert files_of(root)["hour"] == 1
    assert [found.requests for found in read(root)] == [3]
    await last.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.k8s_manager.collector.test_parquet_sink import BEGIN, HandClock, PLACES, ParquetSink, row

async def main():
    clock = HandClock(BEGIN + 15)
    sink = ParquetSink(Path(sys.argv[1]), clock)
    number = 0
    while True:
        await sink.write([row(BEGIN + number * 10, place) for place in PLACES])
        number += 1
        clock.at += 40
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 5, 20, 60])
def test_a_process_that_is_killed_loses_nothing_that_it_has_acknowledged(root: Path, acknowledged: int):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as writer:
        assert writer.stdout is not None
        last = next(int(text) for text in writer.stdout if int(text) >= acknowledged)
        os.kill(writer.pid, signal.SIGKILL)
        last = max([last, *(int(text) for text in writer.stdout)])
    sink = ParquetSink(root, HandClock(BEGIN + 10_000))
    asyncio.run(sink.write([]))
    platform = list(ParquetRows(root).rows(RowSelection("platform", 0, 2**40)))
    assert last <= sum(found.requests for found in platform) <= last + 1
    assert sum(found.requests for found in read(root)) == len(PLACES) * sum(found.requests for found in platform)
    assert list((root / "tmp").iterdir()) == []
    asyncio.run(sink.close())


def test_without_duckdb_the_error_says_what_to_install(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(DuckDbMissing, match=r"pip install tidegate\[history\]"):
        ParquetSink(root, HandClock())


async def test_arms_are_added_up_for_who_does_not_ask_for_them(root: Path):
    random, sink = Random(3), ParquetSink(root, HandClock(BEGIN + 15))
    written = some_rows(random, BEGIN)
    await sink.write(written)
    found = list(ParquetRows(root).rows(RowSelection("version", BEGIN, BEGIN + 1)))
    assert found == in_steps(without_arms(row for row in expected(written) if row.key.place.level == "version"), STEP)
    assert len(found) == 1


@pytest.mark.parametrize("kind", ["slot", "hour"])
async def test_files_of_a_release_that_knew_no_arms_count_under_the_weights(root: Path, kind: str):
    clock = HandClock(BEGIN + 15)
    sink = ParquetSink(root, clock)
    version = RowPlace("version", "", "search", "ranker", "v2")
    await sink.write([row(BEGIN, version, requests=3)])
    if kind == "hour":
        clock.at = BEGIN + 3600 + QUIET + EVERY
        await sink.write([])
    await sink.close()
    (file,) = (root / kind).glob("*.parquet")
    with duckdb.connect() as connection:
        query = f"COPY (SELECT * EXCLUDE (arm) FROM read_parquet($1)) TO '{root.parent}/old' (FORMAT parquet)"
        connection.execute(query, [str(file)])
    (root.parent / "old").replace(file)
    assert [(one.key.place, one.requests) for one in read(root)] == [(version, 3)], "all files are old"
    clock.at += EVERY
    sink = ParquetSink(root, clock)
    late = [row(BEGIN + 10, version._replace(arm="testers"), requests=5), row(BEGIN + 10, version, requests=1)]
    assert await sink.write(late) == (2 if kind == "hour" else 0)
    await sink.write([row(BEGIN + 7200, version._replace(arm="testers"), requests=7)])
    found = {}
    for one in read(root):
        found[one.key.place.arm] = found.get(one.key.place.arm, 0) + one.requests
    assert found == ({"": 3, "testers": 7} if kind == "hour" else {"": 4, "testers": 12})
    await sink.close()


async def test_any_program_can_read_the_files(root: Path):
    sink = ParquetSink(root, HandClock(BEGIN + 15))
    await sink.write([row(BEGIN, PLACES[-1], requests=2)])
    await sink.close()
    with duckdb.connect() as connection:
        query = "SELECT tenant, model, ok, latency, epoch_ms(start) FROM read_parquet(?)"
        (found,) = connection.execute(query, [f"{root}/slot/*.parquet"]).fetchall()
    assert found == ("ads", "it's", 2, [[217, 2]], datetime.fromtimestamp(BEGIN, UTC).replace(tzinfo=None))
    assert HOUR in files_of(root)
