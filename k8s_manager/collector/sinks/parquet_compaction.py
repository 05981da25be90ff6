"""Batches of rows into files of five minutes, these into hours and days, and the bounds of age and size.

A file of five minutes keeps the rows of windows by source, so that one that comes again replaces the one before. When
nothing has come for an hour for a while, it becomes one file of sums over sources and five minutes, and takes no more;
sources that another collector may have counted too stay apart in it, so that who reads both can tell them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collectors.access_log.rows import StatsRow, unique
from k8s_manager.collector.sinks.parquet_files import BATCH, DAY, HOUR, SLOT, SPANS, ParquetFiles, RowFile
from k8s_manager.collector.sinks.parquet_sql import (
    SharedRows,
    copy,
    kept_sources,
    ordered,
    rows_of,
    steps,
    unique_rows,
    write_rows,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EVERY = 60
"""Seconds between two looks at what can be put together, and at least between replacing a file and removing it."""
SETTLED = 2 * SPANS[DAY]
"""Seconds after which hours are closed also where rows have waited for a disk."""
QUIET = 1200
"""Seconds without a row after which an hour is closed: a collector that starts reads the last quarter of an hour."""


@dataclass(frozen=True, slots=True)
class HistoryBounds:
    """Seconds for which rows are kept, and bytes that their files may have."""

    age: int = 35 * SPANS[DAY]
    size: int = 2 * 2**30


class RowFiles:
    """Rows in files that are put together with time; all moments are in epoch seconds."""

    def __init__(
        self,
        files: ParquetFiles,
        connection: DuckDBPyConnection,
        bounds: HistoryBounds,
        shared: SharedRows,
        opened: float,
    ) -> None:
        self._files, self._connection, self._bounds, self._opened = files, connection, bounds, opened
        self._shared = shared
        self._touched: dict[int, float] = {}
        self._replaced: list[RowFile] = []
        self._looked = 0.0
        self._since = 0

    def put(self, rows: Sequence[StatsRow], now: float) -> int:
        """Write rows to the disk, but for those of hours that are closed; return how many these are."""
        hours = {_hour(row) for row in rows}
        closed = {hour for hour in hours if self._files.covers(hour)}
        taken = [row for row in rows if row.key.start >= self._since and _hour(row) not in closed]
        if taken:
            self._files.put(self._files.next_batch(), lambda path: write_rows(self._connection, unique(taken), path))
            self._touched |= dict.fromkeys(hours - closed, now)
        return len(rows) - len(taken)

    def close(self) -> None:
        """Let go of DuckDB."""
        self._connection.close()

    def look(self, now: float) -> int:
        """Put together what can be, and remove what is replaced, old or too much; a minute after the last time. Return
        how many files were too much."""
        if now < self._looked + EVERY:
            return 0
        self._looked = now
        self._files.remove(self._replaced)
        self._replaced = []
        self._merge_batches()
        self._close_spans(HOUR, SLOT, now)
        self._close_spans(DAY, HOUR, now)
        self._touched = {hour: at for hour, at in self._touched.items() if at + QUIET > now}
        return self._forget(now)

    def _merge_batches(self) -> None:
        """Put the rows of batches into the files of their five minutes."""
        batches = self._files.found(BATCH)
        if not batches:
            return
        step = SPANS[SLOT] * 1000
        query = f'SELECT DISTINCT "start" // {step} * {step} // 1000 AS slot FROM ({rows_of(batches)}) ORDER BY slot'
        for (start,) in self._connection.execute(query).fetchall():
            slot = self._files.file(SLOT, start)
            if not self._files.covers(start):
                others = [slot] if slot.path.exists() else []
                within = f'"start" >= {slot.start * 1000} AND "start" < {slot.end * 1000}'
                self._make(slot, unique_rows(rows_of([*others, *batches], within)))
        self._replaced += batches

    def _close_spans(self, kind: str, parts: str, now: float) -> None:
        """Make hours or days of finer files, where nothing has come for a while and nothing finer is left."""
        current = self._files.current()
        open_spans = {self._files.file(kind, file.start) for file in current if 0 < SPANS[file.kind] < SPANS[parts]}
        ready: dict[RowFile, list[RowFile]] = {}
        for file in current:
            if file.kind == parts:
                ready.setdefault(self._files.file(kind, file.start), []).append(file)
        for span, files in ready.items():
            touched = [at for hour, at in self._touched.items() if span.start <= hour < span.end]
            if span not in open_spans and max(span.end, self._opened, *touched) + QUIET <= now:
                self._make(span, self._sums(files) if kind == HOUR else rows_of(files))
                self._replaced += files

    def _sums(self, files: Sequence[RowFile]) -> str:
        return steps(kept_sources(unique_rows(rows_of(files)), self._shared.condition()), SPANS[SLOT])

    def _make(self, file: RowFile, query: str) -> None:
        statement = ordered(query)
        self._files.put(file, lambda path: _run(self._connection, copy(statement, path)))

    def _forget(self, now: float) -> int:
        """Remove what is too old, and the oldest files while all have more bytes than the bound; the last one stays.
        Return how many were removed for their size."""
        files = sorted(file for file in self._files.current() if file.kind != BATCH)
        old = [file for file in files if file.end + self._bounds.age <= now]
        files = files[len(old) :]
        sizes = [file.path.stat().st_size for file in files]
        too_much = 0
        while sum(sizes[too_much:]) > self._bounds.size and too_much < len(files) - 1:
            too_much += 1
        self._drop([*old, *files[:too_much]])
        self._shared.forget(int(now) - SETTLED)
        return too_much

    def _drop(self, files: Iterable[RowFile]) -> None:
        for file in files:
            self._files.remove([file])
            self._since = max(self._since, file.end)
            self._files.forget(file.end)


def _hour(row: StatsRow) -> int:
    return row.key.start // SPANS[HOUR] * SPANS[HOUR]


def _run(connection: DuckDBPyConnection, statement: str) -> None:
    connection.execute(statement)
