"""What is read of rows in Parquet files: five minutes a row, over all sources but those that others may have too."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import orjson

from collectors.access_log.rows import StatsRow
from collectors.request_statistics.row_document import row_of
from collectors.request_statistics.row_query import FILE_STEP
from istio_templates.errors import TidegateError
from k8s_manager.collector.sinks.parquet_files import BATCH, SLOT, ParquetFiles, RowFile
from k8s_manager.collector.sinks.parquet_sql import (
    arms_together,
    connected,
    kept_sources,
    readable,
    rows_of,
    steps,
    unique_rows,
)

READING = "256MB"
"""Memory of a DuckDB that reads."""
_MANY = 1000
_TRIES = 3


class HistoryTooLarge(TidegateError):
    """More rows are asked for than an answer holds, or than can be read in time."""


@dataclass(frozen=True, slots=True)
class RowSelection:
    """Rows of a level in files that begin before `end` and end after `start` (epoch seconds), added up over `step`
    seconds, whole five minutes; of one gateway, tenant or model where they are given. Rows of a `shared` source stay
    rows of that source and of five minutes. With `arms` the rows of versions tell arms apart."""

    level: str
    start: int
    end: int
    step: int = FILE_STEP
    names: dict[str, str] = field(default_factory=dict)
    shared: str = "false"
    """Which rows may be in the files of another collector too, as a condition of SQL."""
    arms: bool = False

    @property
    def first(self) -> int:
        """The start of the first row."""
        return self.start // FILE_STEP * FILE_STEP

    @property
    def condition(self) -> str:
        """Which rows are asked for, as a condition of SQL with a parameter for each name."""
        names = [f'"{name}" = ${name}' for name in ("level", *self.names)]
        return " AND ".join([f'"start" >= {self.first * 1000} AND "start" < {self.end * 1000}', *names])


class ParquetRows:
    """Reads the rows below a folder, also while a `ParquetSink` writes to it."""

    def __init__(self, root: Path) -> None:
        self._files = ParquetFiles(root)

    def since(self) -> int | None:
        """Return since when (epoch seconds) rows are kept; None where none ever were."""
        return self._files.since()

    def rows(
        self, selection: RowSelection, most: int | None = None, seconds: float | None = None
    ) -> Iterator[StatsRow]:
        """Yield rows in the order of time and place; at most `most`, and for so many seconds.

        Blocks while it reads. Raises `HistoryTooLarge`, `DuckDbMissing`, and `OSError` or `duckdb.Error` where files
        cannot be read.
        """
        with tempfile.TemporaryDirectory(prefix="tidegate-rows-") as folder:
            connection = connected(Path(folder), READING)
            with connection, _interrupted(connection, seconds):
                found = self._found(connection, selection)
                if found is None:
                    return
                names = [column[0] for column in found.description]
                count = 0
                while some := found.fetchmany(_MANY):
                    count += len(some)
                    if most is not None and count > most:
                        raise HistoryTooLarge(f"more than {most} rows; ask for less, or a longer step")
                    for values in some:
                        document = dict(zip(names, values, strict=True))
                        yield row_of({**document, "latency": orjson.loads(document["latency"])})

    def _found(self, connection: Any, selection: RowSelection) -> Any:
        """Return the rows that a query finds; None where there are no files. A file that was put into a coarser one
        after it was listed is there for a while; where it was not, files are listed again."""
        import duckdb

        for tries_left in reversed(range(_TRIES)):
            files = [file for file in self._files.current() if _is_in(file, selection.first, selection.end)]
            if not files:
                return None
            try:
                return connection.execute(_query(files, selection), {"level": selection.level, **selection.names})
            except duckdb.IOException:
                if not tries_left:
                    raise
        return None


@contextmanager
def _interrupted(connection: Any, seconds: float | None) -> Iterator[None]:
    """Interrupt what a connection does after some seconds, and raise `HistoryTooLarge` then."""
    import duckdb

    timer = Timer(seconds if seconds is not None else 0, connection.interrupt)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield
    except duckdb.InterruptException:
        said = f"the files cannot be read within {seconds:g} s; ask for a shorter span, or for less at once"
        raise HistoryTooLarge(said) from None
    finally:
        timer.cancel()


def _query(files: list[RowFile], selection: RowSelection) -> str:
    fine = [file for file in files if file.kind in (BATCH, SLOT)]
    coarse = [file for file in files if file not in fine]
    parts = [unique_rows(rows_of(fine, selection.condition))] if fine else []
    parts += [rows_of(coarse, selection.condition)] if coarse else []
    rows = kept_sources(" UNION ALL ".join(f"SELECT * FROM ({part})" for part in parts), selection.shared)
    return readable(steps(rows if selection.arms else arms_together(rows), selection.step))


def _is_in(file: RowFile, start: int, end: int) -> bool:
    return file.kind == BATCH or (file.start < end and file.end > start)
