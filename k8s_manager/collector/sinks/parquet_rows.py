"""What is read of rows in Parquet files: five minutes a row, over all sources."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from collectors.access_log.rows import StatsRow
from collectors.request_statistics.row_document import row_of
from k8s_manager.collector.sinks.parquet_files import BATCH, SLOT, SPANS, ParquetFiles, RowFile
from k8s_manager.collector.sinks.parquet_sql import connected, readable, rows_of, sums

STEP = SPANS[SLOT]
"""Seconds of a row."""
_MANY = 1000
_TRIES = 3


class ParquetRows:
    """Reads the rows below a folder, also while a `ParquetSink` writes to it."""

    def __init__(self, root: Path) -> None:
        self._files = ParquetFiles(root)

    def rows(
        self,
        level: str,
        start: int,
        end: int,
        gateway: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
    ) -> Iterator[StatsRow]:
        """Yield the rows of a level in the order of time, a row for each place and five minutes that begin before `end`
        and end after `start` (epoch seconds); of one gateway, tenant or model only, where these are given.

        Blocks while it reads. Raises `DuckDbMissing`, and `OSError` or `duckdb.Error` where files cannot be read.
        """
        first = start // STEP * STEP
        asked = {"level": level, "gateway": gateway, "tenant": tenant, "model": model}
        values = {name: value for name, value in asked.items() if value is not None}
        condition = " AND ".join(
            [f'"start" >= {first * 1000} AND "start" < {end * 1000}', *(f'"{name}" = ${name}' for name in values)]
        )
        with tempfile.TemporaryDirectory(prefix="tidegate-rows-") as folder, connected(Path(folder)) as connection:
            found = self._found(connection, (first, end), condition, values)
            if found is None:
                return
            names = [column[0] for column in found.description]
            while some := found.fetchmany(_MANY):
                for values_of_row in some:
                    document = dict(zip(names, values_of_row, strict=True))
                    yield row_of({**document, "latency": orjson.loads(document["latency"])})

    def _found(self, connection: Any, span: tuple[int, int], condition: str, values: dict[str, str]) -> Any:
        """Return the rows that a query finds; None where there are no files. A file that was put into a coarser one
        after it was listed is there for a while; where it was not, files are listed again."""
        import duckdb

        for tries_left in reversed(range(_TRIES)):
            files = [file for file in self._files.current() if _is_in(file, *span)]
            if not files:
                return None
            try:
                return connection.execute(_query(files, condition), values)
            except duckdb.IOException:
                if not tries_left:
                    raise
        return None


def _query(files: list[RowFile], condition: str) -> str:
    fine = [file for file in files if file.kind in (BATCH, SLOT)]
    coarse = [file for file in files if file not in fine]
    parts = [f"SELECT * FROM ({sums(rows_of(fine, condition))})"] if fine else []
    parts += [rows_of(coarse, condition)] if coarse else []
    return readable(" UNION ALL ".join(parts))


def _is_in(file: RowFile, start: int, end: int) -> bool:
    return file.kind == BATCH or (file.start < end and file.end > start)
