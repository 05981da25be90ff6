"""The aggregation of the engine as SQL, for engines that read more than one process can: rules into text. Pure.

Outcomes, fields of a line, names of routes, levels, buckets and the window are rendered from what the engine itself
uses. A statement is a chain of stages, each a query over the one before: `lines` (fields that are read), `requests`
(whose, with which outcome), `placed` (once for each level), `parts` (sums of a window by bucket), and the rows.

Four things differ from the engine. Caps on names (`Bounds`) do not hold. What only a reader of documents knows of
routes and arms is not known, as in `tidegate collect FILE`. A moment is a date, a time and Z, and no other ISO 8601.
And a row is made once, with revision 0, when all lines that the engine would still take have come.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from msgspec import inspect

from collectors.access_log.identity import CLUSTER, OWN_ROUTE, ROUTE
from collectors.access_log.latency import LOG_GAMMA
from collectors.access_log.line import LogLine
from collectors.access_log.outcomes import OUTCOMES, RULES, TIMED, OutcomeRule
from collectors.access_log.rows import LEVEL_FIELDS, LEVELS, SUMMED, WINDOW, RowPlace
from istio_templates.access_log.line_format import SCHEMA

PLACE = RowPlace._fields


@dataclass(frozen=True, slots=True)
class LineField:
    """A field of a line: text of at most `most` characters, or an integer from `least` to `most`, where these are
    given; perhaps null."""

    name: str
    is_text: bool
    is_nullable: bool
    least: int | None
    most: int | None


class SqlDialect(Protocol):
    """What engines write differently."""

    quote: str
    text_type: str
    window_from: str
    """What `parts` are made of."""
    window: str
    """The columns that tell windows apart."""
    start: str
    """The start of a window, in epoch milliseconds."""

    def lines(self) -> str:
        """Return the query that gives the fields of each line, and its `moment`."""

    def is_valid(self, field: LineField) -> str:
        """Return the condition under which a field is what the engine reads."""

    def matches(self, text: str, pattern: str) -> str:
        """Return the condition that a whole text matches a regular expression."""

    def group(self, text: str, pattern: str, number: int) -> str:
        """Return the expression for a group of a regular expression that a whole text matches."""

    def pairs(self, bucket: str, count: str) -> str:
        """Return the aggregate of pairs of a bucket and its count, of buckets that are not null."""


def fields() -> Iterator[LineField]:
    """Yield the fields of a line, as the engine reads them."""
    found = inspect.type_info(LogLine)
    assert isinstance(found, inspect.StructType)
    for field in found.fields:
        kinds = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        (kind,) = (kind for kind in kinds if not isinstance(kind, inspect.NoneType))
        if isinstance(kind, inspect.StrType):
            yield LineField(field.name, True, len(kinds) > 1, None, kind.max_length)
        elif isinstance(kind, inspect.IntType):
            yield LineField(field.name, False, len(kinds) > 1, kind.ge, kind.le)


def stages(dialect: SqlDialect) -> dict[str, str]:
    """Return the queries before the last one, by their names, in order."""
    return {
        "lines": dialect.lines(),
        "requests": _requests(dialect),
        "placed": _placed(dialect),
        "parts": _parts(dialect),
    }


def rows_query(dialect: SqlDialect, source: str) -> str:
    """Return the last query: rows with the columns of a row's document, of lines that all have one source."""
    counts = [f"SUM({quoted(dialect, name)}) AS {quoted(dialect, name)}" for name in SUMMED]
    columns = [
        *(quoted(dialect, name) for name in PLACE),
        f"{dialect.start} AS {quoted(dialect, 'start')}",
        f"{WINDOW} AS {quoted(dialect, 'window')}",
        f"{literal(source)} AS {quoted(dialect, 'source')}",
        f"0 AS {quoted(dialect, 'revision')}",
        *counts,
        f"{dialect.pairs('bucket', 'requests')} AS {quoted(dialect, 'latency')}",
    ]
    keys = (dialect.window, *(quoted(dialect, name) for name in PLACE))
    return f"SELECT\n{_listed(columns)}\nFROM parts\nGROUP BY {', '.join(keys)}"


def columns(dialect: SqlDialect, types: Mapping[str, str]) -> str:
    """Return the columns of a table with some types, in lines."""
    return _listed([f"{quoted(dialect, name)} {kind}" for name, kind in types.items()])


def quoted(dialect: SqlDialect, name: str) -> str:
    """Return a name as an identifier."""
    return f"{dialect.quote}{name}{dialect.quote}"


def literal(text: str) -> str:
    """Return a text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def outcome_case() -> str:
    """Return the expression for the outcome of a request: the engine's rules, in their order."""
    cases = [f"    WHEN {_condition(rule)} THEN {literal(rule.outcome)}" for rule in RULES[:-1]]
    return "\n".join(["CASE", *cases, f"    ELSE {literal(RULES[-1].outcome)}", "  END"])


def bucket_of(duration: str) -> str:
    """Return the expression for the bucket of a duration; null where that is null."""
    logarithm = f"CAST(CEIL(LN({duration}) / {LOG_GAMMA:.17E}) AS BIGINT)"
    return f"CASE WHEN {duration} > 1 THEN {logarithm} WHEN {duration} IS NOT NULL THEN 0 END"


def _condition(rule: OutcomeRule) -> str:
    parts = []
    if rule.details is not None:
        parts.append(f"details = {literal(rule.details)}")
    if rule.flags is not None:
        flags = " OR ".join(f"',' || flags || ',' LIKE {literal(f'%,{flag},%')}" for flag in rule.flags)
        parts.append(f"({flags})" if len(rule.flags) > 1 else flags)
    if rule.lowest is not None and rule.lowest == rule.highest:
        parts.append(f"status = {rule.lowest}")
    else:
        parts += [f"status >= {rule.lowest}"] if rule.lowest is not None else []
        parts += [f"status <= {rule.highest}"] if rule.highest is not None else []
    if rule.grpc is not None:
        parts.append(f"grpc_status IN ({', '.join(map(str, sorted(rule.grpc)))})")
    return " AND ".join([*parts, "grpc_status <> 0"] if rule.is_grpc_error else parts)


def _requests(dialect: SqlDialect) -> str:
    """Lines that the engine counts: whose they are, their outcome, and the duration of those that a model answered."""
    is_own = " AND ".join(
        (
            dialect.matches("route", ROUTE.pattern),
            dialect.matches("route_config", OWN_ROUTE.pattern),
            f"{dialect.group('route', ROUTE.pattern, 2)} = {dialect.group('route_config', OWN_ROUTE.pattern, 2)}",
        )
    )
    valid = [dialect.is_valid(field) for field in fields()]
    counted = [*(f"({condition})" for condition in valid if condition), "moment IS NOT NULL"]
    model, version = quoted(dialect, "model"), quoted(dialect, "version")
    return (
        f"SELECT moment, gateway, bytes_in, bytes_out, outcome, ARRAY[{_texts(LEVELS)}] AS levels,\n"
        f"  CASE WHEN is_own THEN {dialect.group('route', ROUTE.pattern, 1)} ELSE '' END AS tenant,\n"
        f"  CASE WHEN is_own THEN {dialect.group('route', ROUTE.pattern, 2)} ELSE '' END AS {model},\n"
        f"  CASE WHEN is_own AND {dialect.matches('cluster', CLUSTER.pattern)}\n"
        f"    THEN {dialect.group('cluster', CLUSTER.pattern, 1)} ELSE '' END AS {version},\n"
        f"  CASE WHEN is_own THEN COALESCE({dialect.group('route', ROUTE.pattern, 3)}, '') ELSE '' END AS arm,\n"
        f"  CASE WHEN outcome IN ({_texts(sorted(TIMED))})\n"
        "    THEN CASE WHEN duration_us > 0 THEN duration_us ELSE duration_ms * 1000 END END AS duration\n"
        f"FROM (\n  SELECT *, {is_own} AS is_own,\n  {outcome_case()} AS outcome\n  FROM lines\n"
        f"  WHERE {quoted(dialect, 'schema')} = {literal(SCHEMA)}\n    AND "
        + "\n    AND ".join(counted)
        + "\n) AS classified"
    )


def _placed(dialect: SqlDialect) -> str:
    """Requests once for each level that tells them apart, with the place of the row that they count in."""
    level = quoted(dialect, "level")
    levels_of = {name: [at for at in LEVELS if name in LEVEL_FIELDS[at]] for name in PLACE[1:]}
    places = [
        f"  CASE WHEN {level} IN ({_texts(levels)}) THEN {quoted(dialect, name)} ELSE '' END AS {quoted(dialect, name)}"
        for name, levels in levels_of.items()
    ]
    needed = [
        f"({level} NOT IN ({_texts(levels)}) OR {quoted(dialect, name)} <> '')"
        for name, levels in levels_of.items()
        if name not in ("gateway", "arm")
    ]
    return (
        f"SELECT moment, {level},\n"
        + ",\n".join(places)
        + f",\n  outcome, bytes_in, bytes_out, duration, {bucket_of('duration')} AS bucket\n"
        f"FROM requests CROSS JOIN UNNEST(levels) AS each_level({level})\n"
        "WHERE " + "\n  AND ".join(needed)
    )


def _parts(dialect: SqlDialect) -> str:
    """Sums of a window by place and bucket; what has no duration has the bucket null."""
    counts = [f"COUNT(*) FILTER (WHERE outcome = {literal(name)}) AS {quoted(dialect, name)}" for name in OUTCOMES]
    sums = ["SUM(bytes_in) AS bytes_in", "SUM(bytes_out) AS bytes_out", "SUM(COALESCE(duration, 0)) AS latency_sum"]
    keys = (dialect.window, *(quoted(dialect, name) for name in PLACE), "bucket")
    selected = _listed([*keys, "COUNT(*) AS requests", *counts, *sums])
    return f"SELECT\n{selected}\nFROM {dialect.window_from}\nGROUP BY {', '.join(keys)}"


def _texts(names: Iterable[str]) -> str:
    return ", ".join(map(literal, names))


def _listed(parts: Iterable[str]) -> str:
    return ",\n".join(f"  {part}" for part in parts)
