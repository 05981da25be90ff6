"""The windows of one source: open, closed and still taking late lines, and gone.

Each source has a watermark of its own: a gateway pod whose clock is ahead, or that is read late, holds back or hurries
nobody else's windows.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from collectors.access_log.identity import OTHER, Served
from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import WINDOW, RowKey, RowPlace, StatsRow, total
from istio_templates.arms.arm_facts import MOST_ARMS


@dataclass(frozen=True, slots=True)
class Lateness:
    """Seconds for which a window stays open after its end, by the moments of the lines that come, and seconds in which
    it then still takes lines and its rows are emitted again."""

    open: int = 5
    late: int = 60


LATENESS = Lateness()
OFFLINE = Lateness(3600, 0)
"""For logs that are read at once: rows are emitted once, when hardly anything can still come."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many gateways, tenants, models and versions one window tells apart, those beyond are one; and how many arms
    of a model, those beyond count under the weights."""

    gateways: int = 200
    tenants: int = 2_000
    models: int = 10_000
    versions: int = 20_000
    arms: int = MOST_ARMS


BOUNDS = Bounds()


@dataclass(slots=True)
class Cell:
    """Counts of the requests of one gateway, tenant, model, version and arm in one window, while they are made."""

    counts: list[int] = field(default_factory=lambda: [0] * len(OUTCOMES))
    bytes_in: int = 0
    bytes_out: int = 0
    latency_sum: int = 0
    latency: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(slots=True)
class StatsWindow:
    """One window: its cells by gateway and who served; `revision` counts how often its rows were emitted before."""

    start: int
    cells: dict[tuple[str, Served], Cell] = field(default_factory=dict)
    revision: int = -1
    is_changed: bool = False
    gateways: set[str] = field(default_factory=set)
    tenants: set[str] = field(default_factory=set)
    models: set[tuple[str, str]] = field(default_factory=set)
    arms: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def cell(self, gateway: str, served: Served, bounds: Bounds) -> Cell:
        """Return where a request counts, within bounds."""
        key = (gateway, served)
        if key not in self.cells:
            key = (self._gateway(gateway, bounds), self._served(served, bounds))
        return self.cells.setdefault(key, Cell())

    def _gateway(self, gateway: str, bounds: Bounds) -> str:
        if gateway not in self.gateways and len(self.gateways) >= bounds.gateways:
            return OTHER
        self.gateways.add(gateway)
        return gateway

    def _served(self, served: Served, bounds: Bounds) -> Served:
        if not served.tenant:
            return served
        other = OTHER if served.version else ""
        if served.tenant not in self.tenants:
            if len(self.tenants) >= bounds.tenants:
                return Served(OTHER, OTHER, other)
            self.tenants.add(served.tenant)
        if served[:2] not in self.models:
            if len(self.models) >= bounds.models:
                return Served(served.tenant, OTHER, other)
            self.models.add((served.tenant, served.model))
        if len(self.cells) >= bounds.versions:
            return Served(served.tenant, served.model, other)
        return served._replace(arm=self._arm(served, bounds)) if served.arm else served

    def _arm(self, served: Served, bounds: Bounds) -> str:
        arms = self.arms.setdefault((served.tenant, served.model), set())
        if len(arms) < bounds.arms:
            arms.add(served.arm)
        return served.arm if served.arm in arms else ""

    def rows(self, source: str) -> list[StatsRow]:
        """Return the rows of every level. What has no version, such as a request to a closed model, is in no row of a
        version."""
        cells = [(gateway, served, self._row(source, cell)) for (gateway, served), cell in self.cells.items()]
        models = _sums((RowPlace("model", "", who.tenant, who.model), row) for _, who, row in cells if who.tenant)
        tenants = _sums((RowPlace("tenant", "", row.key.place.tenant), row) for row in models)
        gateways = _sums((RowPlace("gateway", gateway), row) for gateway, _, row in cells)
        versions = _sums((RowPlace("version", "", *who), row) for _, who, row in cells if who.version)
        platform = _sums((RowPlace("platform"), row) for row in gateways)
        return [*platform, *gateways, *tenants, *models, *versions]

    def _row(self, source: str, cell: Cell) -> StatsRow:
        key = RowKey(RowPlace("cell"), self.start, source)
        counts = tuple(cell.counts)
        return StatsRow(
            key, max(0, self.revision), counts, cell.bytes_in, cell.bytes_out, cell.latency_sum, dict(cell.latency)
        )


def _sums(rows: Iterable[tuple[RowPlace, StatsRow]]) -> list[StatsRow]:
    parts: dict[RowPlace, list[StatsRow]] = {}
    for place, row in rows:
        parts.setdefault(place, []).append(row)
    return [total(found[0].key._replace(place=place), found) for place, found in parts.items()]


class SourceWindows:
    """The windows of one source, by their beginnings. Those before the `floor` are not made: a source that is read
    again has counted them already."""

    def __init__(self, source: str, floor: int = 0, lateness: Lateness = LATENESS) -> None:
        self.source, self.floor = source, floor
        self._lateness = lateness
        self.windows: dict[int, StatsWindow] = {}
        self._watermark = 0.0
        self._read: tuple[float, float] | None = None

    @property
    def watermark(self) -> float:
        """The moment (epoch seconds) up to which lines have come, but for late ones."""
        return self._watermark

    @property
    def changing(self) -> int | None:
        """The start of the first window that may still change, or be made by a late line; None before any line."""
        if not self._watermark:
            return None
        late = int(self._watermark - self._lateness.late) // WINDOW * WINDOW
        return max(self.floor, min([late, *self.windows]))

    @property
    def emitted_until(self) -> float:
        """The rows of windows that begin at this moment or before it were emitted already."""
        return self._watermark - WINDOW

    def window(self, start: int) -> StatsWindow | None:
        """Return the window that begins at a moment; None where a line is too late for it."""
        found = self.windows.get(start)
        if found is None:
            if start + WINDOW + self._lateness.late <= self._watermark:
                return None
            found = self.windows[start] = StatsWindow(start)
        found.is_changed = True
        return found

    def advance(self, moment: float, now: float | None) -> list[StatsRow]:
        """Take note that lines have come up to a moment, which was read at `now` where that is known; return the rows
        of the windows that close by that, or that late lines have changed. A line that is ahead of the clock closes
        nothing."""
        if now is not None:
            moment = min(moment, now)
            self._read = moment, now
        self._watermark = max(self._watermark, moment - self._lateness.open)
        return list(self._emitted(self._watermark))

    def rest(self, now: float) -> list[StatsRow]:
        """Return the rows of windows that close because nothing is left to read. The source's clock may differ from
        the collector's: what counts is how long ago its last line was read."""
        if self._read is None:
            return []
        moment, then = self._read
        self._watermark = max(self._watermark, moment + max(0.0, now - then) - self._lateness.open)
        return list(self._emitted(self._watermark))

    def unfinished(self) -> list[StatsRow]:
        """Return the rows of windows that lines have changed since their rows were emitted, as they are now."""
        changed = [window for start, window in sorted(self.windows.items()) if window.is_changed]
        return [row for window in changed for row in window.rows(self.source)]

    def flush(self) -> list[StatsRow]:
        """Return the rows of all windows, which have ended with their source."""
        return list(self._emitted(float("inf")))

    def _emitted(self, until: float) -> Iterator[StatsRow]:
        for start in sorted(self.windows):
            if start + WINDOW > until:
                break
            window = self.windows[start]
            if window.is_changed:
                window.revision += 1
                window.is_changed = False
                yield from window.rows(self.source)
            if start + WINDOW + self._lateness.late <= until:
                del self.windows[start]
