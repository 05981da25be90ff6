"""What DuckDB does with files of rows: write them, keep each row once, add them up to five minutes or more.

A file has the columns of a row's document, so that any program that reads Parquet can read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import SUMMED, RowPlace, StatsRow
from collectors.request_statistics.row_document import row_document
from istio_templates.errors import TidegateError
from k8s_manager.collector.sinks.parquet_files import SLOT, SPANS, RowFile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PLACE = RowPlace._fields
TYPES = {
    **dict.fromkeys(PLACE, "VARCHAR"),
    "start": "BIGINT",
    "window": "INTEGER",
    "source": "VARCHAR",
    "revision": "INTEGER",
    **dict.fromkeys(SUMMED, "BIGINT"),
}
MEMORY = "512MB"
TEMPORARY = "4GB"
"""What a DuckDB may put onto the disk besides."""
_KEPT = ", ".join(f'"{name}"' for name in TYPES)
_COLUMNS = f"{_KEPT}, latency"
_PLACE = ", ".join(f'"{name}"' for name in PLACE)
_REQUESTS = " + ".join(f'"{name}"' for name in OUTCOMES)
_STRUCTURE = ", ".join(f"'{name}': '{kind}'" for name, kind in {**TYPES, "latency": "BIGINT[][]"}.items())
_STEP = SPANS[SLOT] * 1000


class DuckDbMissing(TidegateError):
    """Rows are to be kept in Parquet files, and the program for that is not installed."""

    def __init__(self) -> None:
        super().__init__("rows cannot be kept in Parquet files, DuckDB is not installed; pip install tidegate[history]")


def require_duckdb() -> None:
    """Raise `DuckDbMissing` where DuckDB is not installed."""
    try:
        import duckdb  # noqa: F401
    except ImportError as error:
        raise DuckDbMissing from error


def connected(temporary: Path, memory: str = MEMORY) -> DuckDBPyConnection:
    """Return a connection to a DuckDB of its own, bounded in memory; raises `DuckDbMissing`."""
    require_duckdb()
    import duckdb

    bounds: dict[str, str | int | float | list[str]] = {
        "memory_limit": memory,
        "max_temp_directory_size": TEMPORARY,
        "threads": 2,
    }
    return duckdb.connect(config={**bounds, "temp_directory": str(temporary)})


def failures() -> tuple[type[Exception], ...]:
    """Return what a disk's failures are raised as."""
    import duckdb

    return OSError, duckdb.Error


def write_rows(connection: DuckDBPyConnection, rows: Sequence[StatsRow], path: Path) -> None:
    """Write rows to a file, by way of lines of JSON beside it."""
    lines = path.with_suffix(".jsonl")
    try:
        with lines.open("wb") as stream:
            stream.writelines(orjson.dumps(row_document(row), option=orjson.OPT_APPEND_NEWLINE) for row in rows)
        connection.execute(copy(f"SELECT * FROM read_ndjson({_text(lines)}, columns = {{{_STRUCTURE}}})", path))
    finally:
        lines.unlink(missing_ok=True)


def copy(query: str, path: Path) -> str:
    """Return the statement that writes a query's rows to a file."""
    return f"COPY ({query}) TO {_text(path)} (FORMAT parquet, COMPRESSION zstd)"


def rows_of(files: Iterable[RowFile], condition: str = "true") -> str:
    """Return the query for the rows in files. Those of older releases have no column for the arm: all their requests
    count under the weights."""
    listed = ", ".join(_text(file.path) for file in files)
    found = f"SELECT * FROM read_parquet([{listed}], union_by_name = true)"
    named = f"SELECT NULL::VARCHAR AS arm WHERE false UNION ALL BY NAME {found}"
    return f"SELECT {_COLUMNS} FROM (SELECT * REPLACE (COALESCE(arm, '') AS arm) FROM ({named})) WHERE {condition}"


def ordered(query: str) -> str:
    """Return a query's rows in the order in which they are looked for: by place, then time."""
    return f'SELECT * FROM ({query}) ORDER BY {_PLACE}, "start"'


def readable(query: str) -> str:
    """Return a query's rows in the order of time, then place, with pairs as JSON, which is read faster than lists."""
    return f'SELECT * REPLACE (to_json(latency)::VARCHAR AS latency) FROM ({query}) ORDER BY "start", {_PLACE}'


def unique_rows(query: str) -> str:
    """Return each row once: of several with one key, the one that has seen most requests."""
    seen = f'row_number() OVER (PARTITION BY {_PLACE}, "start", "source" ORDER BY {_REQUESTS} DESC, "revision" DESC)'
    return f"SELECT {_COLUMNS} FROM ({query}) QUALIFY {seen} = 1"


def kept_sources(query: str, shared: str) -> str:
    """Return rows without their source, but for those of which a condition holds."""
    return f'SELECT * REPLACE (CASE WHEN {shared} THEN "source" ELSE \'\' END AS "source") FROM ({query})'


def arms_together(query: str) -> str:
    """Return rows that tell no arms apart; several may have one key then."""
    return f"SELECT * REPLACE ('' AS arm) FROM ({query})"


def steps(query: str, step: int) -> str:
    """Return rows added up over steps of some seconds, which are whole five minutes; rows that have a source, over five
    minutes and each source by itself."""
    width = f"(CASE WHEN \"source\" = '' THEN {step * 1000} ELSE {_STEP} END)"
    begin = f'"start" // {width} * {width} AS "start"'
    counts = ", ".join(f'SUM("{name}")::BIGINT AS "{name}"' for name in SUMMED)
    key = f'{_PLACE}, "start", "source"'
    added = f'{_PLACE}, {begin}, {_STEP // 1000} AS "window", "source", 0 AS "revision", {counts}'
    return (
        f"WITH fine AS MATERIALIZED ({query}),\n"
        f"sums AS (SELECT {added} FROM fine GROUP BY ALL),\n"
        f'pairs AS (SELECT {_PLACE}, {begin}, "source", unnest(latency) AS pair FROM fine),\n'
        f"buckets AS (SELECT {key}, pair[1] AS bucket, SUM(pair[2])::BIGINT AS n FROM pairs GROUP BY ALL),\n"
        f"latencies AS (SELECT {key}, list([bucket, n] ORDER BY bucket) AS latency FROM buckets GROUP BY ALL)\n"
        f"SELECT {_KEPT}, COALESCE(latency, []) AS latency FROM sums LEFT JOIN latencies USING ({key})"
    )


class SharedRows:
    """Which rows another collector may have in its files too: all that begin before a moment, and those of a source
    that begin before one of its own (epoch seconds)."""

    def __init__(self) -> None:
        self._until = 0
        self._sources: dict[str, int] = {}

    def share_all(self, until: int) -> None:
        """Keep every source by itself before a moment."""
        self._until = max(until, self._until)

    def share(self, source: str, until: int) -> None:
        """Keep a source by itself before a moment."""
        self._sources[source] = max(until, self._sources.get(source, 0))

    def forget(self, before: int) -> None:
        """Forget what was shared before a moment, where nothing is added up any more."""
        for source in [source for source, until in self._sources.copy().items() if until <= before]:
            del self._sources[source]

    def condition(self) -> str:
        """Return it as a condition of SQL."""
        parts = [f'"start" < {self._until * 1000}'] if self._until else []
        for source, until in self._sources.copy().items():
            parts.append(f'("source" = {_quoted(source)} AND "start" < {until * 1000})')
        return f"({' OR '.join(parts)})" if parts else "false"


def _text(path: Path) -> str:
    return _quoted(str(path))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
