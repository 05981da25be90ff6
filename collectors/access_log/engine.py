"""The engine: lines of access logs into rows. Pure; event time; one pass.

A line costs one JSON parse and four look-ups: requests of one kind (route, cluster, status, flags, details) are
classified once, and counted at the finest level only. The levels above are sums, made when a window closes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, inf, log
from operator import attrgetter
from typing import Any, Literal

from collectors.access_log.identity import KnownRoutes, Served, served_by
from collectors.access_log.latency import LOG_GAMMA
from collectors.access_log.line import UNREADABLE, schema_of
from collectors.access_log.line import read as read_line
from collectors.access_log.line_counts import LineCounts
from collectors.access_log.outcomes import NUMBER, TIMED, outcome_of
from collectors.access_log.rows import WINDOW, StatsRow
from collectors.access_log.windows import BOUNDS, LATENESS, Bounds, Cell, Lateness, SourceWindows
from istio_templates.access_log.line_format import SCHEMA

AHEAD = 60.0
"""Seconds by which a line may be ahead of the collector's clock."""
_KINDS, _STARTS = 20_000, 4_096
"""At most so many kinds of requests and beginnings of windows are remembered."""
_OF_KIND = ("schema", "gateway", "route", "route_config", "cluster", "status", "flags", "details", "grpc_status")
_kind = attrgetter(*_OF_KIND)
_UNUSABLE = (*UNREADABLE, ValueError)


class OutOfTime(ValueError):
    """A line whose window is gone, or far ahead of the clock."""

    def __init__(self, why: Literal["too_late", "ahead", "repeated"]) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True, eq=False)
class RequestClass:
    """Requests of one kind: where they count, and as what. Compared by identity, which costs nothing."""

    gateway: str
    served: Served
    outcome: int
    is_timed: bool


class Engine:
    """Turns the lines of any number of sources into rows."""

    def __init__(
        self, known: KnownRoutes | None = None, bounds: Bounds = BOUNDS, lateness: Lateness = LATENESS
    ) -> None:
        self.counts = LineCounts()
        self._known, self._bounds, self._lateness = known, bounds, lateness
        self._classes: dict[tuple[Any, ...], RequestClass] = {}
        self._starts: dict[str, int] = {}
        self._sources: dict[str, SourceWindows] = {}

    def know(self, known: KnownRoutes) -> None:
        """Take over what is known of routes from now on."""
        if known != self._known:
            self._known = known
            self._classes.clear()

    def wanted(self, source: str, floor: int) -> int:
        """Return from which moment on (epoch seconds) the lines of a source are wanted: from `floor`, or, of one that
        is read again, from the first window that could still change."""
        windows = self._sources.get(source)
        changing = windows.changing if windows else None
        return floor // WINDOW * WINDOW if changing is None else changing

    def begin(self, source: str, floor: int) -> list[StatsRow]:
        """Begin to read a source, or to read it again. Windows from `floor` on (a moment that is `wanted`) are counted
        again; lines before it were counted before. Return the rows of windows as they were counted until now: the
        source may not have their lines any more."""
        before = self.end(source)
        self._sources[source] = SourceWindows(source, floor, self._lateness)
        return before

    def feed(self, source: str, lines: Iterable[bytes], now: float | None = None) -> list[StatsRow]:
        """Count lines of a source; return the rows of windows that close by them, or that late lines have changed.
        With `now` (epoch seconds), lines that are far ahead of it are dropped."""
        windows = self._sources.get(source)
        if windows is None:
            windows = self._sources[source] = SourceWindows(source, lateness=self._lateness)
        latest = self._count(windows, lines, now + AHEAD if now is not None else inf)
        return windows.advance(self._moment(latest), now) if latest else []

    def rest(self, source: str, now: float) -> list[StatsRow]:
        """Return the rows of windows that close because a source, of which nothing is left to read, says nothing."""
        windows = self._sources.get(source)
        return windows.rest(now) if windows else []

    def end(self, source: str) -> list[StatsRow]:
        """Return the last rows of a source that has ended, and forget it."""
        windows = self._sources.pop(source, None)
        return windows.flush() if windows else []

    def unfinished(self) -> list[StatsRow]:
        """Return the rows that are still to be emitted, of all sources, as they are now."""
        return [row for windows in self._sources.values() for row in windows.unfinished()]

    def forget(self, source: str) -> None:
        """Forget a source without its last rows: another collector reads it from here on."""
        self._sources.pop(source, None)

    def windows(self, source: str) -> frozenset[int]:
        """Return the starts (epoch seconds) of the windows of a source that may still change."""
        found = self._sources.get(source)
        return frozenset(found.windows) if found else frozenset()

    def watermark(self, source: str) -> float:
        """Return up to which moment (epoch seconds) a source has been read."""
        windows = self._sources.get(source)
        return windows.watermark if windows else 0.0

    def _count(self, windows: SourceWindows, lines: Iterable[bytes], horizon: float) -> str:
        """Count lines and return the latest moment of one. One loop without function calls of its own: a line may cost
        little more than its JSON."""
        emitted, latest, counts = windows.emitted_until, "", self.counts
        classes, starts, cells = self._classes, self._starts, dict[tuple[int, RequestClass], Cell]()
        parse, kind_of, rounded, ln, width = read_line, _kind, ceil, log, LOG_GAMMA
        read = late = 0
        for line in lines:
            read += 1
            try:
                record = parse(line)
                kind = kind_of(record)
                found = classes.get(kind) or self._classify(kind)
                moment = record.time
                start = (starts.get(moment[:18]) if moment[23:] == "Z" else None) or self._start(moment)
                cell = cells.get((start, found))
                if cell is None:
                    cell = self._cell(cells, windows, start, found, horizon)
            except _UNUSABLE as error:
                self._drop(line, error)
                continue
            cell.counts[found.outcome] += 1
            cell.bytes_in += record.bytes_in
            cell.bytes_out += record.bytes_out
            if found.is_timed:
                duration = record.duration_us or record.duration_ms * 1000
                cell.latency_sum += duration
                cell.latency[rounded(ln(duration) / width) if duration > 1 else 0] += 1
            if start <= emitted:
                late += 1
            if moment > latest:
                latest = moment
        counts.read += read
        counts.late += late
        return latest

    def _cell(
        self,
        cells: dict[tuple[int, RequestClass], Cell],
        windows: SourceWindows,
        start: int,
        found: RequestClass,
        horizon: float,
    ) -> Cell:
        """Return where requests of a class count in a window; raises `OutOfTime` where that is gone or to come."""
        if start > horizon:
            raise OutOfTime("ahead")
        if start < windows.floor:
            raise OutOfTime("repeated")
        window = windows.window(start)
        if window is None:
            raise OutOfTime("too_late")
        cell = cells[start, found] = window.cell(found.gateway, found.served, self._bounds)
        return cell

    def _classify(self, kind: tuple[Any, ...]) -> RequestClass:
        """Return the class of a kind of requests; raises `ValueError` for another schema."""
        schema, gateway, route, config, cluster, status, flags, details, grpc_status = kind
        if schema != SCHEMA:
            raise ValueError(schema)
        outcome = outcome_of(status, flags, details or "", grpc_status)
        served = served_by(route, config, cluster, self._known)
        found = RequestClass(gateway, served, NUMBER[outcome], outcome in TIMED)
        if len(self._classes) >= _KINDS:
            self._classes.clear()
        self._classes[kind] = found
        return found

    def _start(self, moment: str) -> int:
        """Return the start of the window of a moment; raises `ValueError`."""
        if not moment.endswith("Z"):
            raise ValueError(moment)
        start = int(moment_of(moment)) // WINDOW * WINDOW
        if len(self._starts) >= _STARTS:
            self._starts.clear()
        self._starts[moment[:18]] = start
        return start

    def _moment(self, text: str) -> float:
        """Return the moment of a line that was counted; of one that is odd behind its tens of seconds, the window's."""
        try:
            return moment_of(text)
        except ValueError:
            return float(self._starts.get(text[:18], 0))

    def _drop(self, line: bytes, error: Exception) -> None:
        if isinstance(error, OutOfTime):
            self.counts.drop(error.why, line)
        else:
            schema = schema_of(line)
            kind = "unparsable" if schema in (None, SCHEMA) else "unknown" if schema else "foreign"
            self.counts.drop(kind, line)


def moment_of(text: str) -> float:
    """Return the epoch seconds of a moment as Envoy writes it, in UTC; raises `ValueError`."""
    return datetime.fromisoformat(text).timestamp()


def text_of(moment: float) -> str:
    """Return a moment (epoch seconds) as Envoy writes it."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
