"""Rows in Elasticsearch or OpenSearch, over plain HTTP.

Rows go into a data stream, which takes new documents only: a row of a higher revision is a document of its own, and
readers take the highest revision of each row (docs/log-shippers.md). The id is made of the row, its revision and
how much it counts, so what is given again is found to be there.

Source of the API: Elasticsearch's `_bulk` and `_index_template`, the same in OpenSearch.
"""

import asyncio
import logging
from collections.abc import Sequence

import aiohttp
import orjson

from collectors.access_log.rows import StatsRow
from k8s_manager.collector.sinks.bulk_body import bulk_item, requests, result_of
from k8s_manager.collector.sinks.row_sink import SinkUnavailable
from k8s_manager.collector.sinks.search_credentials import Authorization, no_authorization
from k8s_manager.collector.sinks.search_store import TOO_LARGE, SearchStore, SearchStoreBusy
from k8s_manager.collector.sinks.search_template import index_template
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)
STREAM = "tidegate-rows"
REQUEST_MAX = 5 * 2**20
"""Bytes of a request; stores take 100 MiB, and are slower with more than some MiB."""
ROUNDS = 4
"""How often rows are given to a store that takes others of the same request."""
BACKOFF = Backoff(0.5, 4.0)
SHOWN = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"


class SearchSink:
    """Writes rows into a data stream; `refused` counts those that the store can never take, `sample` says why."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        clock: Clock,
        stream: str = STREAM,
        authorization: Authorization = no_authorization,
    ) -> None:
        self._store, self._stream = SearchStore(session, address, stream, authorization), stream
        self._clock = clock
        self._has_template = False
        self.refused = 0
        self.sample: str | None = None

    @property
    def name(self) -> str:
        """The address of the data stream."""
        return self._store.name

    async def write(self, rows: Sequence[StatsRow]) -> int:
        """Keep rows for good; return how many of them the store can never take. Raises `SinkUnavailable`."""
        refused = 0
        try:
            await self._require_template()
            for group in requests(map(bulk_item, rows), REQUEST_MAX):
                refused += await self._write(group)
        except SinkUnavailable:
            self._has_template = False  # the store may come back empty
            raise
        self.refused += refused
        return refused

    async def close(self) -> None:
        """Close the session."""
        await self._store.close()

    async def _write(self, group: list[bytes]) -> int:
        """Give a group of rows until the store has taken or refused each; only those that it could not take again."""
        refused, busy = 0, ""
        for number in range(1, ROUNDS + 1):
            status, answer = await self._store.call(
                "POST", f"/{self._stream}/_bulk?filter_path={SHOWN}", b"".join(group)
            )
            if status == TOO_LARGE:
                return refused + await self._write_parts(group)
            try:
                result = result_of(group, self._store.expect(status, answer))
            except ValueError as error:
                raise SinkUnavailable(self.name, f"{error}; check that it is a search store") from None
            refused += result.refused
            self._remember(result.sample)
            if not result.again:
                return refused
            group, busy = result.again, result.busy
            if number < ROUNDS:
                await self._clock.wait(asyncio.Event(), BACKOFF.after(number))
        raise SearchStoreBusy(self.name, f"it cannot take {len(group)} rows now, {busy}", None)

    async def _write_parts(self, group: list[bytes]) -> int:
        """Write a group that is too large for the store in two parts; a row that is too large alone is refused."""
        if len(group) == 1:
            self._remember("413: the row is larger than the store takes")
            return 1
        half = len(group) // 2
        return await self._write(group[:half]) + await self._write(group[half:])

    async def _require_template(self) -> None:
        """Make the index template where there is none; one that is there, perhaps an operator's own, stays."""
        if self._has_template:
            return
        path = f"/_index_template/{self._stream}"
        status, answer = await self._store.call("GET", path)
        if status == 404:
            body = orjson.dumps(index_template(self._stream))
            status, answer = await self._store.call("PUT", path, body)
            self._store.expect(status, answer)
            log.info("made the index template %s", self.name)
        self._store.expect(status, answer)
        self._has_template = True

    def _remember(self, sample: str | None) -> None:
        if sample is not None and self.sample is None:
            log.warning("%s refuses a row for ever (%s)", self.name, sample)
            self.sample = sample
