"""Rows in Parquet files: for weeks, on a disk of bounded size, readable by any program.

What is written is on the disk when `write` returns. Each minute it is put together with what was there.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from collectors.access_log.rows import StatsRow
from istio_templates.errors import Stalled
from k8s_manager.collector.sinks.parquet_compaction import HistoryBounds, RowFiles
from k8s_manager.collector.sinks.parquet_files import ParquetFiles
from k8s_manager.collector.sinks.parquet_sql import SharedRows, connected, failures, require_duckdb
from k8s_manager.collector.sinks.row_sink import SinkUnavailable
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)
HISTORY_BOUNDS = HistoryBounds()
TAKE_SECONDS, PAUSE = 15.0, 0.5
"""Seconds in which a process before may still end, and between two looks."""


class FolderTaken(Stalled):
    """Another process keeps its rows in a folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(f"another process keeps its rows in {root}; give each collector a folder of its own")


class ParquetSink:
    """Keeps rows below a folder, which no other process writes to."""

    def __init__(self, root: Path, clock: Clock, bounds: HistoryBounds = HISTORY_BOUNDS) -> None:
        self.too_late = 0
        """Rows that came for hours that were closed, and are left out."""
        self.forgotten = 0
        """Files that were removed before their time to hold the bound of the size, the oldest first."""
        self._files, self._clock, self._bounds = ParquetFiles(root), clock, bounds
        self._busy = Lock()
        self._rows: RowFiles | None = None
        self.root = root
        self.shared = SharedRows()
        """Which rows another collector may have in its files too."""
        require_duckdb()

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._files.root)

    async def take(self) -> None:
        """Take the folder, and wait a little for a process before that ends. Raises `FolderTaken`; another problem of
        the disk may pass, and is told with the first rows."""
        left = TAKE_SECONDS
        while True:
            try:
                await self.write(())
            except SinkUnavailable as error:
                if not isinstance(error.__cause__, BlockingIOError):
                    log.warning("%s", error)
                    return
                if left <= 0:
                    raise FolderTaken(self.root) from error
                left -= PAUSE
                await self._clock.wait(asyncio.Event(), PAUSE)
            else:
                return

    async def write(self, rows: Sequence[StatsRow]) -> int:
        """Keep rows for good; return how many came for hours that are closed. Raises `SinkUnavailable` where the disk
        takes none, or another process writes to the folder."""
        return await asyncio.to_thread(self._write, tuple(rows), self._clock.utc().timestamp())

    async def close(self) -> None:
        """Let another process write to the folder."""
        await asyncio.to_thread(self._close)

    def _write(self, rows: Sequence[StatsRow], now: float) -> int:
        with self._busy:
            try:
                kept = self._rows = self._rows or self._opened(now)
                too_late = kept.put(rows, now)
                self.forgotten += kept.look(now)
            except BlockingIOError as error:
                raise SinkUnavailable(self.name, "another process writes to it") from error
            except failures() as error:
                self._release()
                raise SinkUnavailable(self.name, str(error).partition("\n")[0]) from error
            self.too_late += too_late
            return too_late

    def _opened(self, now: float) -> RowFiles:
        """Take the folder, with what a process before, or a failure, has left there."""
        self._files.open()
        return RowFiles(self._files, connected(self._files.temporary), self._bounds, self.shared, now)

    def _close(self) -> None:
        with self._busy:
            self._release()

    def _release(self) -> None:
        if self._rows:
            self._rows.close()
            self._rows = None
        self._files.close()
