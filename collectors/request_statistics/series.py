"""Rows in memory, made coarser with age: windows of 10 s for a quarter of an hour, minutes for six hours.

What is fine is kept by source, since a row may come again with a higher revision. When that can no longer be, rows of
all sources are added up, minute by minute; but for sources that another collector has counted too for a time, so that
who merges the rows of both can tell which are the same.
"""

from collections.abc import Callable, Iterable, Iterator
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
PackedRows = dict[str, dict[RowPlace, bytes]]
"""The rows of one window or minute, by source and place."""


class RowSeries:
    """The rows of the last hours."""

    def __init__(self) -> None:
        self._fine: dict[int, PackedRows] = {}
        self._coarse: dict[int, PackedRows] = {}
        self._shared_until: dict[str, int] = {}
        self._places: dict[RowPlace, RowPlace] = {}
        self._fine_since = 0
        self.too_old = 0
        """Rows that came when their time was minutes already, and are left out."""
        self.lost_until = 0
        """The end (epoch seconds) of the last window of which that is so."""

    def put(self, rows: Iterable[StatsRow]) -> list[tuple[StatsRow, StatsRow | None]]:
        """Keep rows; one that was there already is replaced, unless it has seen more requests. Return those that are
        kept, each with the one that it replaces."""
        out, seen = list[tuple[StatsRow, StatsRow | None]](), dict[bytes, bytes]()
        for row in rows:
            place, start, source = row.key
            if start < self._fine_since:
                self.too_old += 1
                self.lost_until = max(self.lost_until, start + WINDOW)
                continue
            window = self._fine.setdefault(start, {}).setdefault(source, {})
            other = unpacked(row.key, window[place]) if place in window else None
            if other is None or unique([other, row])[0] is row:
                data = packed(row)
                window[self._places.setdefault(place, place)] = seen.setdefault(data, data)
                out.append((row, other))
        return out

    def share(self, source: str, until: int) -> None:
        """Keep a source by itself in windows before a moment: another collector may have read its lines too."""
        self._shared_until[source] = max(until, self._shared_until.get(source, 0))

    def takes(self, key: RowKey) -> bool:
        """Tell whether a row is still taken: its window is not added up to a minute yet."""
        return key.start >= self._fine_since

    def is_shared(self, key: RowKey) -> bool:
        """Tell whether another collector may have a row with this key."""
        return key.start < self._shared_until.get(key.source, 0)

    def age(self, now: float) -> None:
        """Make coarser what has become old, and forget what is older than hours."""
        for minute in sorted({start // MINUTE * MINUTE for start in self._fine}):
            if minute + MINUTE + FINE > now:
                break
            self._coarse[minute] = self._minute(minute)
        self._fine_since = max(self._fine_since, int(now - FINE) // MINUTE * MINUTE)
        for minute in [minute for minute in self._coarse if minute + MINUTE + COARSE <= now]:
            del self._coarse[minute]
        ended = [source for source, until in self._shared_until.items() if until + MINUTE + COARSE <= now]
        for source in ended:
            del self._shared_until[source]
        if len(self._places) > 2 * max((sum(map(len, kept.values())) for kept in self._coarse.values()), default=0):
            places = (place for kept in self._coarse.values() for found in kept.values() for place in found)
            self._places = {place: place for place in places}

    def rows(self, is_wanted: Callable[[RowPlace], bool], start: int, end: int) -> Iterator[StatsRow]:
        """Return the rows of some places that begin from `start` on and before `end` (epoch seconds), as they are now,
        minutes first. A minute may begin before `start` and reach beyond `end`."""
        kept = [
            (RowKey(place, begin, source), data)
            for rows, width in ((self._coarse, MINUTE), (self._fine, WINDOW))
            for begin in sorted(rows)
            if start - width < begin < end
            for source, found in rows[begin].items()
            for place, data in found.items()
            if is_wanted(place)
        ]
        return (unpacked(key, data) for key, data in kept)

    def _minute(self, minute: int) -> PackedRows:
        """Take the windows of a minute out, and return their sums: of all sources together, but for shared ones."""
        parts: dict[RowKey, list[StatsRow]] = {}
        for start in range(minute, minute + MINUTE, WINDOW):
            for source, found in self._fine.pop(start, {}).items():
                for place, data in found.items():
                    row = unpacked(RowKey(place, start, source), data)
                    key = RowKey(place, minute, source if self.is_shared(row.key) else ALL)
                    parts.setdefault(key, []).append(row)
        out: PackedRows = {}
        seen: dict[bytes, bytes] = {}
        for key, rows in parts.items():
            data = packed(total(key, rows))
            out.setdefault(key.source, {})[self._places.setdefault(key.place, key.place)] = seen.setdefault(data, data)
        return out


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
