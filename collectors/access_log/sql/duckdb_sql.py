"""The aggregation as one statement of DuckDB, over a file with a line of JSON for each request."""

from collectors.access_log.rows import WINDOW
from collectors.access_log.sql.aggregation_sql import LineField, fields, literal, quoted, rows_query, stages

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
_KINDS = {True: ("VARCHAR",), False: ("UBIGINT", "BIGINT")}


class DuckDbSql:
    """DuckDB's dialect. Fields are read with their kinds, so that a line counts where the engine counts it."""

    quote, text_type = '"', "VARCHAR"
    window_from, window, start = "placed", "moment", "moment * 1000"

    def __init__(self, file: str) -> None:
        self._file = file

    def lines(self) -> str:
        """Return the query that gives the fields of each line and their kinds."""
        selected = []
        for field in fields():
            path, name = literal(f"$.{field.name}"), quoted(self, field.name)
            kind = self.text_type if field.is_text else "BIGINT"
            selected += [
                f"json_type(json, {path}) AS kind_{field.name}",
                f"TRY_CAST(json ->> {path} AS {kind}) AS {name}",
            ]
        objects = f"read_ndjson_objects({literal(self._file)}, ignore_errors = true)"
        inner = ",\n    ".join(selected)
        moment = (
            f"CASE WHEN {self.matches(quoted(self, 'time'), MOMENT)} THEN "
            f'epoch_ms(TRY_CAST("time" AS TIMESTAMP)) // {WINDOW * 1000} * {WINDOW} END'
        )
        return f"SELECT *, {moment} AS moment FROM (\n  SELECT\n    {inner}\n  FROM {objects}\n) AS objects"

    def is_valid(self, field: LineField) -> str:
        """Return the condition under which a field is what the engine reads."""
        name = quoted(self, field.name)
        kinds = ", ".join(map(literal, _KINDS[field.is_text]))
        parts = [f"kind_{field.name} IN ({kinds})"]
        if field.is_text and field.most is not None:
            parts.append(f"length({name}) <= {field.most}")
        elif not field.is_text:
            parts += [f"{name} >= {field.least}"] if field.least is not None else []
            parts += [f"{name} <= {field.most}"] if field.most is not None else []
        found = " AND ".join(parts)
        return f"kind_{field.name} = 'NULL' OR {found}" if field.is_nullable else found

    def matches(self, text: str, pattern: str) -> str:
        """Return the condition that a whole text matches; false for null."""
        return f"COALESCE(regexp_full_match({text}, {literal(pattern)}), false)"

    def group(self, text: str, pattern: str, number: int) -> str:
        """Return a group of a text that matches as a whole."""
        return f"regexp_extract({text}, {literal(pattern)}, {number})"

    def pairs(self, bucket: str, count: str) -> str:
        """Return the aggregate of pairs, in the order of buckets."""
        return f"COALESCE(list([{bucket}, {count}] ORDER BY {bucket}) FILTER (WHERE {bucket} IS NOT NULL), [])"


def duckdb_sql(file: str, source: str) -> str:
    """Return the statement that gives the rows of a file's lines."""
    dialect = DuckDbSql(file)
    queries = ",\n".join(f"{name} AS (\n{query}\n)" for name, query in stages(dialect).items())
    return f"WITH {queries}\n{rows_query(dialect, source)}\n"
