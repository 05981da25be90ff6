"""What a collector knows of rows that are no longer in its memory: what its Parquet files hold."""

import asyncio
import logging
from collections.abc import Iterable
from typing import NamedTuple

from collectors.request_statistics.row_query import PackedRow, RowQuery, sent
from istio_templates.errors import Transient
from k8s_manager.collector.sinks.parquet_rows import ParquetRows, RowSelection
from k8s_manager.collector.sinks.parquet_sink import ParquetSink
from k8s_manager.collector.sinks.parquet_sql import failures
from k8s_manager.collector.sinks.sink_queue import SinkQueue

log = logging.getLogger(__name__)
SECONDS = 20.0
"""Seconds for which files are read for one answer."""
AT_ONCE = 8
"""Questions that wait for the files; those beyond are refused."""
NAMES = ("gateway", "tenant", "model")


class HistoryBusy(Transient):
    """Too many ask for rows in files at once."""

    def __init__(self) -> None:
        super().__init__(f"{AT_ONCE} questions wait for the files of rows already; ask again")


class PastRows(NamedTuple):
    """Rows out of files, since when (epoch seconds) the files have rows, how many are not written yet, and whether
    the files cannot be read."""

    rows: list[PackedRow]
    since: int
    unwritten: int
    are_unreadable: bool = False


class RowHistory:
    """Reads what a `ParquetSink` has written, one question after the other, each in a thread."""

    def __init__(self, sink: ParquetSink, queue: SinkQueue) -> None:
        self._sink, self._queue, self._files = sink, queue, ParquetRows(sink.root)
        self._turn = asyncio.Lock()
        self._asking = 0

    def share(self, source: str, until: int) -> None:
        """Keep a source by itself before a moment: another collector may have it in its files too."""
        self._sink.shared.share(source, until)

    def share_all(self, until: int) -> None:
        """Keep every source by itself before a moment."""
        self._sink.shared.share_all(until)

    async def read(self, query: RowQuery, end: int, begun: int, most: int) -> PastRows:
        """Return the rows of a query before `end`; `begun` is since when rows came to the files of a folder that has
        none. Raises `HistoryTooLarge` beyond `most` rows, and `HistoryBusy`."""
        if self._asking >= AT_ONCE:
            raise HistoryBusy
        unwritten = self._queue.waiting_before(end)
        names = {name: value for name in NAMES if (value := getattr(query, name))}
        shared = self._sink.shared.condition()
        selection = RowSelection(query.level, query.start, end, query.step, names, shared, query.arms)
        self._asking += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._read, selection, begun, unwritten, most)
        finally:
            self._asking -= 1

    def _read(self, selection: RowSelection, begun: int, unwritten: int, most: int) -> PastRows:
        try:
            since = self._files.since() or begun
            rows = list(self._packed(selection, most))
        except failures() as error:
            log.warning("the rows in %s cannot be read: %s", self._sink.root, str(error).partition("\n")[0])
            return PastRows([], begun, unwritten, are_unreadable=True)
        return PastRows(rows, since, unwritten)

    def _packed(self, selection: RowSelection, most: int) -> Iterable[PackedRow]:
        for row in self._files.rows(selection, most, SECONDS):
            yield sent(row)


def history_of(queues: Iterable[SinkQueue]) -> RowHistory | None:
    """Return what reads the files of the first sink that has some."""
    for queue in queues:
        if isinstance(queue.sink, ParquetSink):
            return RowHistory(queue.sink, queue)
    return None
