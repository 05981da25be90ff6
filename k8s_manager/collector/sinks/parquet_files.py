"""The folder of rows: batches as they came, then a file for five minutes, an hour, a day. Written whole or not at all.

A coarser file replaces the finer ones in its time from the moment it is there; those are removed later, so that who
reads them meanwhile can go on. A process that is killed between leaves both, and the finer ones are not read.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from collectors.request_statistics.row_query import FILE_STEP

BATCH, SLOT, HOUR, DAY = "batch", "slot", "hour", "day"
SPANS = {BATCH: 0, SLOT: FILE_STEP, HOUR: 3600, DAY: 86_400}
"""Seconds of time in a file of each kind, finest first; a batch has rows of any time."""
_FORM = "%Y-%m-%dT%H%M"
_TEMPORARY = "tmp"
_LOCK = "lock"
"""Its time is that since when all rows are kept: when it was made, until rows are forgotten."""


@dataclass(frozen=True, slots=True, order=True)
class RowFile:
    """A file of rows; `start` is in epoch seconds, of a batch its number."""

    start: int
    kind: str
    path: Path

    @property
    def end(self) -> int:
        """The end of its time, in epoch seconds."""
        return self.start + SPANS[self.kind]


class ParquetFiles:
    """The files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.temporary = root / _TEMPORARY
        self._lock: int | None = None
        self._batches = 0

    def open(self) -> None:
        """Make the folder, and remove what a killed process has left. Raises `BlockingIOError` where another process
        writes to it, or another `OSError`."""
        self.root.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.root / _LOCK, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            flock(lock, LOCK_EX | LOCK_NB)
            shutil.rmtree(self.temporary, ignore_errors=True)
            for kind in (_TEMPORARY, *SPANS):
                (self.root / kind).mkdir(exist_ok=True)
            self.remove(set(self._all()) - set(self.current()))
        except OSError:
            os.close(lock)
            raise
        self._lock = lock
        self._batches = max((file.start for file in self.found(BATCH)), default=0)

    def since(self) -> int | None:
        """Return since when (epoch seconds) all rows are kept here; None where the folder was never opened."""
        with suppress(OSError):
            return int((self.root / _LOCK).stat().st_mtime)
        return None

    def forget(self, before: int) -> None:
        """Note that rows before a moment (epoch seconds) are no longer kept."""
        if before > (self.since() or before):
            os.utime(self.root / _LOCK, (before, before))

    def close(self) -> None:
        """Let another process write."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def next_batch(self) -> RowFile:
        """Return the file of the next batch."""
        self._batches += 1
        return RowFile(self._batches, BATCH, self.root / BATCH / f"{self._batches:012}.parquet")

    def file(self, kind: str, moment: int) -> RowFile:
        """Return the file of a kind for a moment (epoch seconds), there or not."""
        start = moment // SPANS[kind] * SPANS[kind]
        name = datetime.fromtimestamp(start, UTC).strftime(_FORM)
        return RowFile(start, kind, self.root / kind / f"{name}.parquet")

    def found(self, kind: str) -> list[RowFile]:
        """Return the files of a kind, oldest first."""
        return sorted(RowFile(_start(kind, path.stem), kind, path) for path in (self.root / kind).glob("*.parquet"))

    def current(self) -> list[RowFile]:
        """Return the files that count: those that no coarser one replaces. Finest ones are looked for first, so that
        nothing is missed while another thread makes coarser ones."""
        files = self._all()
        covered = {(file.kind, file.start) for file in files}
        return [file for file in files if not any(key in covered for key in _coarser(file))]

    def covers(self, moment: int) -> bool:
        """Whether the rows of a moment are in a file of an hour or a day, which takes no more."""
        return any(self.file(kind, moment).path.exists() for kind in (HOUR, DAY))

    def put(self, file: RowFile, write: Callable[[Path], None]) -> None:
        """Have a file written beside its place, and move it there when it is on the disk."""
        path = self.temporary / f"{file.kind}-{file.path.name}"
        try:
            write(path)
            _sync(path)
            path.replace(file.path)
            _sync(file.path.parent)
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    def remove(self, files: Iterable[RowFile]) -> None:
        """Remove files; one that is not there is gone already."""
        for file in files:
            file.path.unlink(missing_ok=True)

    def _all(self) -> list[RowFile]:
        return [file for kind in SPANS for file in self.found(kind)]


def _start(kind: str, name: str) -> int:
    if kind == BATCH:
        return int(name)
    return int(datetime.strptime(name, _FORM).replace(tzinfo=UTC).timestamp())


def _coarser(file: RowFile) -> list[tuple[str, int]]:
    """Return kind and start of the files that would replace one."""
    if file.kind == BATCH:
        return []
    return [(kind, file.start // span * span) for kind, span in SPANS.items() if span > SPANS[file.kind]]


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
