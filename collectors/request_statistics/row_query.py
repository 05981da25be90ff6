"""What is asked of collectors, what one of them answers, and the answers of several as one.

A collector adds up what only it has counted. Rows that another collector may have too keep their source, so that each
counts once; where they are old, all collectors have them as minutes, and in files as five minutes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import cast

import msgspec

from collectors.access_log.rows import RowKey, RowPlace, StatsRow, total, unique
from collectors.request_statistics.row_codec import packed, unpacked
from collectors.request_statistics.series import ALL, COARSE, FINE, MINUTE, in_steps

SKEW = 120
"""Seconds by which the clocks of collectors and of who asks them may differ, and a little more."""
FILE_STEP = 300
"""Seconds of a row in files, which are kept for weeks."""
PackedRow = tuple[RowPlace, int, str, bytes]


@dataclass(frozen=True, slots=True)
class RowQuery:
    """Rows of a level from `start` on and before `end` (epoch seconds), in steps of so many seconds; of one gateway,
    tenant or model where they are given. Before `fine_since` rows that several collectors may have are added up over
    `grain` seconds: minutes, or five minutes, and then collectors answer out of their files too. With `arms` the rows
    of versions tell arms apart."""

    level: str
    start: int
    end: int
    step: int
    fine_since: int = 0
    gateway: str = ""
    tenant: str = ""
    model: str = ""
    grain: int = MINUTE
    arms: bool = False

    @property
    def asks_files(self) -> bool:
        """Whether rows in files can answer it."""
        return self.grain == FILE_STEP

    def is_about(self, place: RowPlace) -> bool:
        """Tell whether a row's place is asked for."""
        asked = (("gateway", self.gateway), ("tenant", self.tenant), ("model", self.model))
        return place.level == self.level and all(not name or getattr(place, of) == name for of, name in asked)


class RowAnswer(msgspec.Struct, frozen=True):
    """What one collector knows: rows; since when it has counted all requests of its pods (epoch seconds); the pods that
    it cannot read; by how many seconds it is behind; its name, and those of all that share the pods, empty for one that
    shares none; since when it has rows in files (None where it keeps none), how many are still to be written there,
    whether the files cannot be read, and whether it can tell arms apart, as those of older releases cannot."""

    rows: list[PackedRow]
    since: int
    unread: int = 0
    lag: float = 0.0
    name: str = ""
    members: list[str] = []
    files_since: int | None = None
    unwritten: int = 0
    are_files_unreadable: bool = False
    tells_arms: bool = False


def fine_since(now: float) -> int:
    """Return since when (epoch seconds) all collectors have windows of 10 s."""
    return int(now - FINE + SKEW) // MINUTE * MINUTE


def kept_since(now: float) -> int:
    """Return since when (epoch seconds) collectors keep rows in memory."""
    return int(now - COARSE) // MINUTE * MINUTE


def packed_rows(query: RowQuery, rows: Iterable[StatsRow], is_shared: Callable[[RowKey], bool]) -> list[PackedRow]:
    """Return the rows that a query is about as they are sent."""
    own, shared = list[StatsRow](), list[StatsRow]()
    for row in rows if query.arms else without_arms(rows):
        (shared if is_shared(row.key) else own).append(row)
    found = [*in_steps(own, query.step), *_coarse(query, _by_key(shared))]
    return [sent(row) for row in found]


def sent(row: StatsRow) -> PackedRow:
    """Return a row as it is sent. A place without an arm has no field for it, as managers of older releases expect."""
    place, start, source = row.key
    return (place if place.arm else cast(RowPlace, place[:-1])), start, source, packed(row)


def without_arms(rows: Iterable[StatsRow]) -> Iterator[StatsRow]:
    """Yield rows whose places tell no arms apart; several may have one key then."""
    for row in rows:
        place = row.key.place
        yield replace(row, key=row.key._replace(place=place._replace(arm=""))) if place.arm else row


def unpacked_rows(query: RowQuery, rows: Iterable[PackedRow]) -> list[StatsRow]:
    """Return rows as they were before they were sent; raises `ValueError` for what answers another question."""
    found = [unpacked(RowKey(RowPlace(*place), start, source), data) for place, start, source, data in rows]
    if any(not query.start - query.step < row.key.start < query.end for row in found):
        raise ValueError("rows of another time than was asked for")
    return found


def merged_rows(query: RowQuery, rows: Iterable[StatsRow]) -> list[StatsRow]:
    """Return the rows of several collectors as those of one, in steps and in the order of time and place."""
    sums, shared = list[StatsRow](), list[StatsRow]()
    for row in rows:
        (shared if row.key.source != ALL else sums).append(row)
    return in_steps([*sums, *unique(shared)], query.step)


def _by_key(rows: Iterable[StatsRow]) -> list[StatsRow]:
    """Return rows with those of one key added up."""
    found: dict[RowKey, StatsRow] = {}
    for row in rows:
        found[row.key] = total(row.key, [found[row.key], row]) if row.key in found else row
    return list(found.values())


def _coarse(query: RowQuery, rows: list[StatsRow]) -> Iterable[StatsRow]:
    """Yield the rows of sources that others may have read too: windows, or longer ones where those are old."""
    old: dict[str, list[StatsRow]] = {}
    for row in rows:
        if row.key.start < query.fine_since:
            old.setdefault(row.key.source, []).append(row)
        else:
            yield row
    for source, found in old.items():
        for row in in_steps(found, query.grain):
            yield replace(row, key=row.key._replace(source=source))
