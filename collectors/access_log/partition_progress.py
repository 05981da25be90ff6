"""How far a partition of a topic of lines has been read for good: the offset that may be committed. Pure.

A collector keeps its windows in memory only. One that was killed goes on at the committed offset, and there it must
find every line of each window that it still makes rows of: otherwise it would replace a complete row by a part of it.
So the committed offset is the first one that fed a window which may still change or that no sink has acknowledged yet.
The offset alone is not enough, because lines are out of order: behind it there are also late lines of windows that were
complete. Therefore the start of the first window that is made again, the `floor`, is committed beside it.
"""

from collections.abc import Iterable
from typing import NamedTuple


class ReadPosition(NamedTuple):
    """Where a partition is read from: the first offset, and the start (epoch seconds) of the first window that the
    lines from there on make; lines of windows before it are in rows already."""

    offset: int
    floor: int


class PartitionProgress:
    """The windows of one partition, each with the first offset that fed it, and whether a sink owes it an answer."""

    def __init__(self, begin: ReadPosition) -> None:
        self.next, self._floor = begin.offset, begin.floor
        self._firsts: dict[int, int] = {}
        self._open: set[int] = set()

    def feed(self, first: int, after: int, windows: Iterable[int], emitted: Iterable[int]) -> None:
        """Take note that the lines from offset `first` on and before `after` were counted: then `windows` (starts) are
        in memory, and rows of the windows `emitted` are on their way to the sinks. A window that is new counts as fed
        from the first of these offsets on."""
        self.next = max(self.next, after)
        emitted = set(emitted)
        self._open |= emitted
        for start in emitted.union(windows):
            self._firsts.setdefault(start, first)

    def acknowledge(self, starts: Iterable[int] | None = None) -> None:
        """Take note that the sinks keep the rows that were emitted, of some windows or of all."""
        if starts is None:
            self._open.clear()
        else:
            self._open.difference_update(starts)

    def position(self, changing: int) -> ReadPosition:
        """Return what may be committed. `changing` is the start of the first window that may still change; windows
        before it, once acknowledged, are never made again."""
        self._floor = max(self._floor, min([changing, *self._open]))
        self._firsts = {start: first for start, first in self._firsts.items() if start >= self._floor}
        return ReadPosition(min(self._firsts.values(), default=self.next), self._floor)
