"""The aggregation as a script of Flink SQL (2.2): a table of lines, one of rows, and the statement between them.

Flink's JSON format is lenient where the engine is strict: a number as text counts as a number, any value counts as
text, and a field that is absent counts as null. Envoy writes no such lines. A row comes when no line can be counted in
it any more, some 65 s after its window; the last one of a source that says nothing comes when another line does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from collectors.access_log.engine import AHEAD
from collectors.access_log.rows import SUMMED, WINDOW, RowPlace
from collectors.access_log.sql.aggregation_sql import LineField, columns, fields, literal, quoted, rows_query, stages
from collectors.access_log.windows import LATENESS

Options = Mapping[str, str]
LINES_TOPIC, ROWS_TOPIC = "tidegate-lines", "tidegate-rows"
SOURCE = "flink"
"""The source of all rows that Flink makes: it adds up those of all partitions."""
FORMAT = {"format": "json", "json.ignore-parse-errors": "true"}
SETTINGS = {"table.local-time-zone": "UTC"}
KAFKA_SETTINGS = {"table.exec.source.idle-timeout": "30 s"}
"""A partition without lines holds back no other partition's rows."""
ROW_TYPES = {
    **dict.fromkeys(RowPlace._fields, "STRING"),
    "start": "BIGINT",
    "window": "INT",
    "source": "STRING",
    "revision": "INT",
    **dict.fromkeys(SUMMED, "BIGINT"),
    "latency": "ARRAY<ARRAY<BIGINT>>",
}
"""The columns of a row's document."""
_FORM = "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"
_NEVER = "TIMESTAMP '1970-01-01 00:00:00.000'"
"""Stands for moments that cannot be read: no watermark may be null."""

_ONE_PAIR = "ARRAY[ARRAY[CAST(0 AS BIGINT), CAST(0 AS BIGINT)]]"
_NO_PAIRS = f"ARRAY_EXCEPT({_ONE_PAIR}, {_ONE_PAIR})"
"""Flink has no literal of an empty array."""


class FlinkSqlDialect:
    """Flink's dialect."""

    quote, text_type = "`", "STRING"
    window_from = f"TABLE(TUMBLE(TABLE placed, DESCRIPTOR(moment), INTERVAL '{WINDOW}' SECOND))"
    window = "window_start, window_end"
    start = "EXTRACT(EPOCH FROM window_start) * 1000"

    def lines(self) -> str:
        """Return the query that gives the lines whose moment can be read."""
        return f"SELECT * FROM access_log WHERE moment > {_NEVER}"

    def is_valid(self, field: LineField) -> str:
        """Return the condition under which a field is what the engine reads; empty where every value is."""
        name = quoted(self, field.name)
        size = f"CHAR_LENGTH({name})" if field.is_text else name
        parts = [f"{size} >= {field.least}"] if field.least is not None else []
        parts += [f"{size} <= {field.most}"] if field.most is not None else []
        if not field.is_nullable:
            parts = [f"{name} IS NOT NULL", *parts]
        found = " AND ".join(parts)
        return f"{name} IS NULL OR {found}" if field.is_nullable and found else found

    def matches(self, text: str, pattern: str) -> str:
        """Return the condition that a whole text matches; false for null."""
        return f"COALESCE(REGEXP({text}, {literal(_whole(pattern))}), FALSE)"

    def group(self, text: str, pattern: str, number: int) -> str:
        """Return a group of a text that matches as a whole."""
        return f"REGEXP_EXTRACT({text}, {literal(_whole(pattern))}, {number})"

    def pairs(self, bucket: str, count: str) -> str:
        """Return the aggregate of pairs, in any order."""
        found = f"ARRAY_AGG(ARRAY[{bucket}, {count}]) FILTER (WHERE {bucket} IS NOT NULL)"
        return f"CASE WHEN COUNT({bucket}) > 0 THEN {found} ELSE {_NO_PAIRS} END"


@dataclass(frozen=True, slots=True)
class FlinkTables:
    """Where Flink reads lines and writes rows: the options of its connectors, and settings that these need. With
    `is_keyed` a row has its identity as a column before the others, `id`, which a connector may take for a key."""

    lines: Options
    rows: Options
    settings: Options = field(default_factory=dict)
    is_keyed: bool = False


def kafka_tables(brokers: str, lines: str, rows: str) -> FlinkTables:
    """Return tables of two topics of Kafka. What is written is read exactly once by who reads committed records."""
    topic = {"connector": "kafka", "properties.bootstrap.servers": brokers}
    source = {
        **topic,
        "topic": lines,
        "properties.group.id": rows,
        "scan.startup.mode": "group-offsets",
        "properties.auto.offset.reset": "earliest",
        **FORMAT,
    }
    sink = {
        **topic,
        "topic": rows,
        "key.format": "raw",
        "key.fields": "id",
        "value.format": "json",
        "value.fields-include": "EXCEPT_KEY",
        "sink.delivery-guarantee": "exactly-once",
        "sink.transactional-id-prefix": rows,
        "properties.transaction.timeout.ms": "600000",
    }
    return FlinkTables(source, sink, KAFKA_SETTINGS, is_keyed=True)


def file_tables(lines: str, rows: str) -> FlinkTables:
    """Return tables of two folders: every file of one is read once, and files are written to the other."""
    file = {"connector": "filesystem", "format": "json"}
    return FlinkTables({**file, "path": lines, **FORMAT}, {**file, "path": rows})


def flink_sql(tables: FlinkTables, source: str) -> str:
    """Return the script. Every statement of it ends with a semicolon at the end of a line, and none has one inside."""
    dialect = FlinkSqlDialect()
    views = [f"CREATE TEMPORARY VIEW {name} AS\n{query}" for name, query in stages(dialect).items()]
    statements = [
        *(f"SET {literal(name)} = {literal(value)}" for name, value in {**SETTINGS, **tables.settings}.items()),
        _lines_table(dialect, tables.lines),
        _rows_table(dialect, tables),
        *views,
        f"INSERT INTO request_rows\n{_keyed(dialect, source) if tables.is_keyed else rows_query(dialect, source)}",
    ]
    return "".join(f"{statement};\n\n" for statement in statements).rstrip("\n") + "\n"


def kafka_script(brokers: str) -> str:
    """Return the script from the topic of lines to that of rows."""
    return flink_sql(kafka_tables(brokers, LINES_TOPIC, ROWS_TOPIC), SOURCE)


def _lines_table(dialect: FlinkSqlDialect, options: Options) -> str:
    """Return the table of lines. A line far ahead of the clock has no moment: it would close the windows of others."""
    typed = columns(dialect, {found.name: "STRING" if found.is_text else "BIGINT" for found in fields()})
    read = f"TO_TIMESTAMP(`time`, {literal(_FORM)})"
    ahead = f"LOCALTIMESTAMP + INTERVAL '{AHEAD:.0f}' SECOND"
    moment = f"CASE WHEN {read} <= {ahead} THEN {read} ELSE {_NEVER} END"
    lateness = LATENESS.open + LATENESS.late
    return (
        f"CREATE TEMPORARY TABLE access_log (\n{typed},\n  moment AS {moment},\n"
        f"  WATERMARK FOR moment AS moment - INTERVAL '{lateness}' SECOND\n) WITH (\n{_options(options)}\n)"
    )


def _rows_table(dialect: FlinkSqlDialect, tables: FlinkTables) -> str:
    types = {"id": "STRING", **ROW_TYPES} if tables.is_keyed else ROW_TYPES
    return f"CREATE TEMPORARY TABLE request_rows (\n{columns(dialect, types)}\n) WITH (\n{_options(tables.rows)}\n)"


def _keyed(dialect: FlinkSqlDialect, source: str) -> str:
    """Return the rows with their identities, as `row_document.row_id` makes them."""
    names = [quoted(dialect, name) for name in RowPlace._fields if name != "arm"]
    parts = [*names, "CAST(`start` / 1000 AS STRING)", "`source`"]
    identity = " || '|' || ".join(parts) + " || CASE WHEN `arm` <> '' THEN '|' || `arm` ELSE '' END"
    return f"SELECT {identity} AS id, * FROM (\n{rows_query(dialect, source)}\n) AS found"


def _options(options: Options) -> str:
    return ",\n".join(f"  {literal(name)} = {literal(value)}" for name, value in options.items())


def _whole(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"
