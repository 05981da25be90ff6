"""The rules as SQL: DuckDB makes the rows of the engine, of the same lines."""

from collections.abc import Callable
from itertools import product

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.access_log.engine import Engine
from collectors.access_log.latency import bucket_of as engine_bucket_of
from collectors.access_log.line import LogLine
from collectors.access_log.outcomes import ANSWERED, BY_FLAG, OUTCOMES, RULES, outcome_of
from collectors.access_log.rows import LEVELS, StatsRow
from collectors.access_log.sql.aggregation_sql import bucket_of, fields, outcome_case
from collectors.access_log.sql.duckdb_sql import duckdb_sql
from collectors.access_log.windows import OFFLINE
from collectors.request_statistics.row_document import row_of
from tests.collectors.access_log.lines import BEGIN, line
from tests.collectors.access_log.test_engine import ODD
from tests.collectors.access_log.varied_lines import FOREIGN, KINDS, NAMES, varied

SOURCE = "it's gw-0"
Rows = Callable[[list[bytes]], list[StatsRow]]


def by_engine(lines: list[bytes]) -> list[StatsRow]:
    """Return the rows of the embedded engine, in order."""
    engine = Engine(lateness=OFFLINE)
    return sorted([*engine.feed(SOURCE, lines), *engine.end(SOURCE)], key=lambda row: row.key)


@pytest.fixture(scope="module")
def by_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Return what gives the rows of DuckDB, in order."""
    file = tmp_path_factory.mktemp("lines") / "it's.jsonl"
    connection = duckdb.connect()

    def rows(lines: list[bytes]) -> list[StatsRow]:
        file.write_bytes(b"".join(text + b"\n" for text in lines))
        found = connection.execute(duckdb_sql(str(file), SOURCE))
        names = [column[0] for column in found.description]
        return sorted((row_of(dict(zip(names, row, strict=True))) for row in found.fetchall()), key=lambda row: row.key)

    return rows


@pytest.mark.parametrize("seed", range(5))
def test_duckdb_makes_the_rows_of_the_engine(seed: int, by_duckdb: Rows):
    lines = varied(seed, 3000)
    rows = by_engine(lines)
    assert by_duckdb(lines) == rows
    platform = [row for row in rows if row.key.place.level == "platform"]
    assert all(sum(row.count(name) for row in platform) for name in OUTCOMES), "every outcome is compared"
    assert {row.key.place.level for row in rows} == set(LEVELS)


requests = st.builds(
    lambda moment, kind, name, duration, size: line(
        BEGIN + moment / 10, **{"duration_us": duration, "bytes_in": size, **kind, **name}
    ),
    moment=st.integers(0, 400),
    kind=st.sampled_from(KINDS),
    name=st.sampled_from(({}, *NAMES)),
    duration=st.none() | st.integers(0, 2**53),
    size=st.integers(0, 2**53),
)


@given(st.lists(requests | st.sampled_from(FOREIGN), max_size=30))
def test_duckdb_makes_the_rows_of_any_lines(by_duckdb: Rows, lines: list[bytes]):
    assert by_duckdb(lines) == by_engine(lines)


@pytest.mark.parametrize("case", ODD)
def test_duckdb_leaves_out_the_odd_lines_that_the_engine_leaves_out(case: str, by_duckdb: Rows):
    lines = [line(BEGIN), ODD[case][0], line(BEGIN + 1)]
    rows = by_duckdb(lines)
    assert [row.requests for row in rows] == [2] * len(LEVELS)
    assert rows == by_engine(lines)


def test_a_file_without_a_line_has_no_row(by_duckdb: Rows):
    assert by_duckdb([]) == by_duckdb(list(FOREIGN)) == []


def test_the_outcome_is_that_of_the_engine_for_all_combinations():
    statuses = (0, 100, 200, 302, 400, 404, 428, 429, 430, 499, 500, 503, 599)
    flags = ("-", "", "XDC", "DCX", *BY_FLAG, "UF,URX", "DC,UT", "UT,DC", "RL,NR", "UH,DR")
    details = (*sorted({rule.details for rule in RULES if rule.details}), "", "route_not_found", f"{ANSWERED}x")
    every = list(product(statuses, flags, details, (None, *range(-1, 18))))
    names = ("status", "flags", "details", "grpc_status")
    listed = ", ".join(f"unnest(?) AS {name}" for name in names)
    with duckdb.connect() as connection:
        query = f"SELECT {outcome_case()} FROM (SELECT {listed})"
        found = connection.execute(query, [list(values) for values in zip(*every, strict=True)]).fetchall()
    expected = [outcome_of(*values) for values in every]
    assert [row[0] for row in found] == expected
    assert set(expected) == set(OUTCOMES)


def test_the_bucket_is_that_of_the_engine_at_every_edge():
    edges = [round(1.04**power) + step for power in range(930) for step in (-1, 0, 1)]
    durations = sorted({*range(20_000), *(edge for edge in edges if 0 <= edge <= 2**53)})
    with duckdb.connect() as connection:
        query = f"SELECT {bucket_of('d')} FROM (SELECT unnest(?::BIGINT[]) AS d)"
        found = [row[0] for row in connection.execute(query, [durations]).fetchall()]
    assert found == [engine_bucket_of(duration) for duration in durations]


def test_every_field_of_a_line_is_rendered():
    assert [field.name for field in fields()] == list(LogLine.__struct_fields__)
    assert {field.name for field in fields() if field.is_nullable} == {
        "details",
        "grpc_status",
        "route",
        "route_config",
        "cluster",
        "duration_us",
    }
