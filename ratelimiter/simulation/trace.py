"""Traffic to try limits against: read from CSV or JSON lines, or generated.

A row says how many requests come from its time on, evenly spaced until the next row; the last row lasts as long as
the one before it (a single row: one second).
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

from istio_templates.errors import Invalid, Problem

NANOS = 1_000_000_000
COLUMNS = ("time", "requests")
MOST_ROWS = 1_000_000
MOST_REQUESTS = 50_000_000
Shape = Literal["constant", "steps", "diurnal", "bursts"]


@dataclass(frozen=True, slots=True)
class TraceRow:
    """`requests` that come from `time` (seconds) on."""

    time: Fraction
    requests: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Rows in the order of their times, never empty."""

    rows: tuple[TraceRow, ...]

    @property
    def starts(self) -> Fraction:
        """The time of the first row, in seconds."""
        return self.rows[0].time

    @property
    def ends(self) -> Fraction:
        """The time at which the last row is over, in seconds."""
        last = self.rows[-1].time
        return last + (last - self.rows[-2].time if len(self.rows) > 1 else 1)

    def arrivals(self) -> Iterator[int]:
        """Yield the moment of every request, in nanoseconds."""
        for row, end in zip(self.rows, [*(row.time for row in self.rows[1:]), self.ends], strict=True):
            start, length = row.time * NANOS, (end - row.time) * NANOS
            over = start.denominator * length.denominator * max(row.requests, 1)
            first = start.numerator * length.denominator * max(row.requests, 1)
            step = length.numerator * start.denominator
            yield from ((first + number * step) // over for number in range(row.requests))


def read(text: str, name: str) -> Trace:
    """Return the trace in a text: JSON lines where it begins with `{`, else CSV. `name` is for messages.

    Raises `Invalid` with every line that is wrong (the first twenty of them).
    """
    parse = _json_lines if text.lstrip().startswith("{") else _csv
    return of_rows(parse(text, name), name, "line {}")


def of_rows(numbered: Iterable[tuple[int, Mapping[str, Any]]], name: str, place: str = "trace[{}]") -> Trace:
    """Return the trace in numbered mappings; `place` says in messages where one stands."""
    problems: list[Problem] = []
    rows = []
    for number, raw in numbered:
        try:
            rows.append(TraceRow(_time(raw.get("time")), _requests(raw.get("requests"))))
        except ValueError as error:
            problems.append(Problem(place.format(number), str(error)))
    problems += [
        Problem(f"row {number}", f"time {float(later.time):g} does not come after {float(row.time):g}; sort the rows")
        for number, (row, later) in enumerate(pairwise(rows), start=2)
        if later.time <= row.time
    ]
    if problems:
        raise Invalid(name, problems[:20])
    return checked(rows, name)


def checked(rows: Iterable[TraceRow], name: str) -> Trace:
    """Return a trace of these rows. Raises `Invalid` where it is empty or too long to be tried."""
    trace = Trace(tuple(rows))
    if not trace.rows:
        raise Invalid(name, [Problem("", "has no rows; give columns time (seconds) and requests")])
    if len(trace.rows) > MOST_ROWS or (total := sum(row.requests for row in trace.rows)) > MOST_REQUESTS:
        most = f"{MOST_ROWS} rows and {MOST_REQUESTS} requests"
        raise Invalid(name, [Problem("", f"is longer than {most}; cut it, or thin it out")])
    if total == 0:
        raise Invalid(name, [Problem("requests", "are 0 in every row; nothing would be tried")])
    return trace


def generated(shape: Shape, rate: Fraction, peak: Fraction, seconds: int) -> Trace:
    """Return a trace of `seconds` rows of one second.

    constant  `rate` all the time
    steps     `rate`, then the peak, in turn, five of each
    diurnal   a day pressed into the trace: from `rate` up to the peak and back
    bursts    `rate`, and the peak in one second of ten
    """
    swing = peak - rate

    def at(second: int) -> Fraction:
        match shape:
            case "constant":
                return rate
            case "steps":
                return peak if second * 10 // seconds % 2 else rate
            case "diurnal":
                return rate + swing * exact_share((1 - math.cos(2 * math.pi * second / seconds)) / 2)
            case "bursts":
                return peak if second % 10 == 9 else rate

    return checked(_whole(at(second) for second in range(seconds)), f"a {shape} trace")


def exact_share(value: float) -> Fraction:
    """Return a share between 0 and 1 to six digits."""
    return Fraction(round(value * 1_000_000), 1_000_000)


def _whole(rates: Iterable[Fraction]) -> Iterator[TraceRow]:
    """Yield a row a second with whole requests; what is left over goes on to the next row."""
    owed = Fraction(0)
    for second, rate in enumerate(rates):
        owed += rate
        yield TraceRow(Fraction(second), int(owed))
        owed -= int(owed)


def _csv(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text))
    columns = [column.strip() for column in reader.fieldnames or ()]
    if missing := [column for column in COLUMNS if column not in columns]:
        said = f"the first line has {', '.join(columns) or 'nothing'}; it must name the columns time and requests"
        raise Invalid(name, [Problem(column, f"column is missing: {said}") for column in missing])
    reader.fieldnames = columns
    for row in reader:
        yield reader.line_num, row


def _json_lines(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                raw = json.loads(line)
            except ValueError as error:
                raise Invalid(name, [Problem(f"line {number}", f"is no JSON ({error})")]) from error
            if not isinstance(raw, dict):
                raise Invalid(name, [Problem(f"line {number}", 'is no object such as {"time": 0, "requests": 40}')])
            yield number, raw


def _time(raw: Any) -> Fraction:
    value = _figure(raw, "time")
    if not 0 <= value <= 10**9:
        raise ValueError(f"time {raw!r} is not between 0 and 1e9 seconds")
    return value


def _requests(raw: Any) -> int:
    value = _figure(raw, "requests")
    if value < 0 or value.denominator != 1:
        raise ValueError(f"requests {raw!r} is no whole number from 0 on")
    return int(value)


def _figure(raw: Any, column: str) -> Fraction:
    if raw is None or isinstance(raw, bool) or len(str(raw)) > 40:
        raise ValueError(f"{column} is missing" if raw is None else f"{column} {str(raw)[:40]!r} is no number")
    try:
        value = float(str(raw))
        return Fraction(repr(value)) if abs(value) < 1e12 else Fraction(-1)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"{column} {raw!r} is no number") from error
