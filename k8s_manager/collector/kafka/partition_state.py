"""One partition of a topic of lines while this collector owns it, and what is committed of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from collectors.access_log.partition_progress import PartitionProgress, ReadPosition
from collectors.access_log.rows import StatsRow

REVISIONS = 100_000
"""Revisions of one generation: more than a window has while it takes late lines."""


class CommitNote(msgspec.Struct, frozen=True):
    """What stands beside a committed offset. `floor` is that of its position. `generation` counts who has read the
    partition: rows that are made again have higher revisions than those of everybody before."""

    floor: int = 0
    generation: int = 0

    def text(self) -> str:
        """Return the metadata of the commit."""
        return msgspec.json.encode(self).decode()


def note_of(metadata: str | None) -> CommitNote:
    """Return the note in the metadata of a commit; an empty one where another program has committed."""
    try:
        return msgspec.json.decode(metadata or "{}", type=CommitNote)
    except msgspec.DecodeError:
        return CommitNote()


@dataclass(slots=True)
class OwnedPartition:
    """A partition with its progress, and what this owner has `committed`; at the offset `end` nothing was behind it.
    Seconds: `fed_at` on the wall clock, when lines came last; `quiet`, for how long
    the brokers have said since that nothing is behind the position."""

    number: int
    source: str
    generation: int
    progress: PartitionProgress
    committed: ReadPosition | None = None
    end: int = 0
    fed_at: float | None = None
    quiet: float = 0.0
    looked_at: float | None = None
    lag: int = 0

    def revised(self, rows: Iterable[StatsRow]) -> list[StatsRow]:
        """Return rows with revisions of this generation."""
        base = self.generation * REVISIONS
        return [replace(row, revision=base + row.revision) for row in rows]

    def feed(self, now: float) -> None:
        """Take note that lines have come."""
        self.fed_at, self.quiet, self.looked_at = now, 0.0, None

    def look(self, lag: int | None, now: float) -> None:
        """Take note of how many messages are behind the position, of which None says that no broker has answered;
        `now` is on the clock that never goes back. Time in which brokers are away is no silence."""
        if lag is None:
            self.looked_at = None
            return
        self.lag = lag
        if lag == 0 and self.looked_at is not None:
            self.quiet += now - self.looked_at
        self.looked_at = now if lag == 0 else None
