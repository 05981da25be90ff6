"""Follows the log of one gateway pod.

A stream may break at any moment. Nothing is remembered of how far it was read: the pod is read again from the first
window that could still change, and those windows are counted again. So no line is lost while the container runtime has
it, and none counts twice.
"""

import asyncio
import logging
from collections.abc import Callable

from collectors.access_log.engine import Engine
from collectors.access_log.rows import StatsRow
from collectors.access_log.text_lines import LineSplitter
from collectors.access_log.windows import LATENESS
from istio_templates.errors import TidegateError
from k8s_manager.collector.pod_log_source import PodLogSource
from k8s_manager.runtime.backoff import Backoff, RestartPauses
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.timestamp import timestamp_at

log = logging.getLogger(__name__)
BACKOFF = Backoff(0.5, 15.0)
HEALTHY = 30.0
"""Seconds for which a stream must have been followed, so that its end counts as an ordinary one."""
SILENT = 1.5
"""Seconds without a piece after which a stream has been read to its end: a proxy writes once a second."""
Sink = Callable[[list[StatsRow]], None]


class PodLog:
    """One pod's log, from `since` (epoch seconds) on."""

    def __init__(self, source: str, log: PodLogSource, since: int, engine: Engine, sink: Sink, clock: Clock) -> None:
        self.source, self._log, self._since = source, log, since
        self._engine, self._sink, self._clock = engine, sink, clock
        self.missing_until = 0.0
        """Until when (epoch seconds) lines were gone before they were read; 0 for none."""
        self._pauses = RestartPauses(BACKOFF, HEALTHY)
        self._read_at: float | None = None
        self._broken_at, self._behind = clock.now(), 0.0
        self.problem: str | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            failure: TidegateError | None = None
            self._pauses.begin(self._clock.now())
            try:
                await self._follow()
            except TidegateError as error:
                if str(error) != self.problem:
                    log.warning("%s", error)
                failure, self.problem = error, str(error)
            if self._read_at is not None:
                self._read_at, self._broken_at = None, self._clock.now()
            if pause := self._pauses.end(self._clock.now(), failure):
                await self._clock.wait(asyncio.Event(), pause)

    def rest(self) -> None:
        """Close windows by the clock, where the stream has been read to its end."""
        if self._read_at is not None and self._clock.now() - self._read_at > SILENT:
            self._sink(self._engine.rest(self.source, self._clock.utc().timestamp()))

    def lag(self) -> float:
        """Return by how many seconds the rows are behind what the pod has written, as far as that is known."""
        now = self._clock.now()
        if self._read_at is None:
            return now - self._broken_at
        return 0.0 if now - self._read_at > SILENT else self._behind

    def end(self) -> None:
        """Close all windows: the pod is gone."""
        self._sink(self._engine.end(self.source))

    async def _follow(self) -> None:
        wanted, has_begun = self._engine.wanted(self.source, self._since), False
        splitter = LineSplitter()
        if gone := await self._log.missing_until(wanted):
            log.warning("%s: lines from before %s are gone, and were not read", self.source, timestamp_at(gone))
            self.missing_until = gone
        async for piece in self._log.pieces(wanted):
            self._read_at, self.problem = self._clock.now(), None
            if not piece:
                continue
            if not has_begun:  # what was counted is kept until it is there again
                self._sink(self._engine.begin(self.source, wanted))
                has_begun = True
            now = self._clock.utc().timestamp()
            self._sink(self._engine.feed(self.source, splitter.feed(piece), now))
            self._behind = max(0.0, now - self._engine.watermark(self.source) - LATENESS.open)
