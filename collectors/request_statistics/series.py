"""Rows in memory, made coarser with age: windows of 10 s for a quarter of an hour, minutes for six hours.

What is fine is kept by source, since a row may come again with a higher revision. When that can no longer be, rows of
all sources are added up, minute by minute.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from collectors.access_log.rows import WINDOW, RowKey, RowPlace, StatsRow, total, unique
from collectors.request_statistics.row_codec import packed, unpacked

FINE = 15 * 60
"""Seconds for which windows are kept as they are."""
MINUTE = 60
COARSE = 6 * 3600
"""Seconds for which minutes are kept."""
ALL = ""
"""The source of rows that are sums over sources."""


class RowSeries:
    """The rows of the last hours."""

    def __init__(self) -> None:
        self._fine: dict[int, dict[RowKey, StatsRow]] = {}
        self._coarse: dict[int, dict[RowPlace, bytes]] = {}
        self._places: dict[RowPlace, RowPlace] = {}
        self._fine_since = 0
        self.too_old = 0
        """Rows that came when their time was minutes already, and are left out."""

    def put(self, rows: Iterable[StatsRow]) -> list[tuple[StatsRow, StatsRow | None]]:
        """Keep rows; one that was there already is replaced, unless it has seen more requests. Return those that are
        kept, each with the one that it replaces."""
        out = []
        for row in rows:
            if row.key.start < self._fine_since:
                self.too_old += 1
                continue
            window = self._fine.setdefault(row.key.start, {})
            other = window.get(row.key)
            kept = window[row.key] = row if other is None else unique([other, row])[0]
            if kept is not other:
                out.append((kept, other))
        return out

    def age(self, now: float) -> None:
        """Make coarser what has become old, and forget what is older than hours."""
        for minute in sorted({start // MINUTE * MINUTE for start in self._fine}):
            if minute + MINUTE + FINE > now:
                break
            windows = [self._fine.pop(start) for start in range(minute, minute + MINUTE, WINDOW) if start in self._fine]
            self._coarse[minute] = dict(self._minute(minute, windows))
        self._fine_since = max(self._fine_since, int(now - FINE) // MINUTE * MINUTE)
        for minute in [minute for minute in self._coarse if minute + MINUTE + COARSE <= now]:
            del self._coarse[minute]
        if len(self._places) > 2 * max(map(len, self._coarse.values()), default=0):
            self._places = {place: place for places in self._coarse.values() for place in places}

    def rows(self, level: str, start: int, end: int) -> Iterator[StatsRow]:
        """Yield the rows of a level that begin from `start` on and before `end` (epoch seconds), minutes first. A
        minute may begin before `start` and reach beyond `end`."""
        for minute in sorted(self._coarse):
            if start - MINUTE < minute < end:
                for place, data in self._coarse[minute].items():
                    if place.level == level:
                        yield unpacked(RowKey(place, minute, ALL), data)
        for window in sorted(self._fine):
            if start - WINDOW < window < end:
                yield from (row for row in self._fine[window].values() if row.key.place.level == level)

    def _minute(self, minute: int, windows: list[dict[RowKey, StatsRow]]) -> Iterator[tuple[RowPlace, bytes]]:
        parts: dict[RowPlace, list[StatsRow]] = {}
        for window in windows:
            for row in window.values():
                parts.setdefault(row.key.place, []).append(row)
        seen: dict[bytes, bytes] = {}
        for place, rows in parts.items():
            data = packed(total(RowKey(place, minute, ALL), rows))
            yield self._places.setdefault(place, place), seen.setdefault(data, data)


def in_steps(rows: Iterable[StatsRow], step: int) -> list[StatsRow]:
    """Return rows added up over sources and over steps of some seconds, in the order of time and place. With a step of
    0 everything is one, which begins with the first row. Rows are taken one by one and not kept."""
    sums: dict[RowKey, StatsRow] = {}
    first: int | None = None
    for row in rows:
        first = row.key.start if first is None else min(first, row.key.start)
        key = RowKey(row.key.place, row.key.start // step * step if step else 0, ALL)
        sums[key] = total(key, [sums[key], row] if key in sums else [row])
    ordered = sorted(sums.values(), key=lambda row: (row.key.start, row.key.place))
    if step or first is None:
        return ordered
    return [replace(row, key=row.key._replace(start=first)) for row in ordered]
