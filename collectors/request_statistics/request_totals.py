"""Running totals of requests, as Prometheus wants them: they only grow; a row that comes again adds its difference.

Rows of windows before the start are left out: the collector that counted them has shown them, and a total that begins
with a quarter of an hour would look like a burst.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from collectors.access_log.latency import middle_of
from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import RowPlace, StatsRow

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds."""
LEVELS = ("gateway", "model")
"""Levels of which every place has totals; of versions only arms have."""
IDLE = 3600
"""Seconds without a row after which a place is forgotten."""


@dataclass(slots=True)
class PlaceTotal:
    """What a place has had: requests by outcome, bytes, and how many answers took at most each of the bounds."""

    counts: list[int] = field(default_factory=lambda: [0] * len(OUTCOMES))
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    within: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    last: int = 0


class RequestTotals:
    """The totals since a moment (epoch seconds)."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.by_place: dict[RowPlace, PlaceTotal] = {}
        self._begun: dict[str, int] = {}

    def begin(self, source: str, since: int) -> None:
        """Leave out the windows of a source that begin before a moment: another collector has counted them."""
        self._begun[source] = since

    def add(self, rows: Iterable[tuple[StatsRow, StatsRow | None]]) -> None:
        """Add rows, each less the one that it replaces."""
        for row, before in rows:
            if _is_totalled(row.key.place) and row.key.start >= self._begun.get(row.key.source, self.since):
                total = self.by_place.setdefault(row.key.place, PlaceTotal())
                _add(total, row, 1)
                if before is not None:
                    _add(total, before, -1)
                total.last = max(total.last, row.key.start)

    def age(self, now: float) -> None:
        """Forget places that have had nothing for long."""
        for place in [place for place, total in self.by_place.items() if total.last + IDLE < now]:
            del self.by_place[place]
        for source in [source for source, since in self._begun.items() if since + IDLE < now]:
            del self._begun[source]


def _is_totalled(place: RowPlace) -> bool:
    return place.level in LEVELS or place.arm != ""


def _add(total: PlaceTotal, row: StatsRow, sign: int) -> None:
    total.counts = [count + sign * more for count, more in zip(total.counts, row.counts, strict=True)]
    total.bytes_in += sign * row.bytes_in
    total.bytes_out += sign * row.bytes_out
    total.seconds += sign * row.latency_sum / 1e6
    for bucket, count in row.latency.items():
        total.within[bisect_left(BOUNDS, middle_of(bucket) / 1e6)] += sign * count
