"""Reads the requests of a model over weeks, out of what collectors keep in files, and of the last minutes.

Weeks take long to read, and change little in an hour: they are read in the background, and kept that long.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from collectors.access_log.rows import StatsRow
from collectors.request_statistics.row_query import FILE_STEP, kept_since
from istio_templates.errors import TidegateError
from k8s_manager.release.quiet_hours import ModelLoad
from k8s_manager.release.windows.load_history import HISTORY_SLOTS, LoadHistory
from k8s_manager.runtime.clock import Clock
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.statistics.stats_query import SETTLED, TimeSpan
from k8s_manager.statistics.whole_rows import NO_COLLECTORS, whole_rows, window_end

KEPT, AGAIN = 3600.0, 60.0
"""Seconds for which weeks are kept, and after which they are read again where that failed."""
AT_ONCE = 2
"""Most models whose weeks are read at a time: each answer is thousands of rows of all collectors."""
RECENT = 300
"""The seconds of the rate of now."""


@dataclass(frozen=True, slots=True)
class _ReadLoad:
    """What was read of the weeks behind, and when (seconds of the clock) it is read again; until then, and while that
    takes, it holds."""

    load: ModelLoad
    until: float


class LoadReader:
    """Reads loads; what is asked for again within an hour is remembered."""

    def __init__(self, pool: CollectorPool | None, clock: Clock) -> None:
        self._pool, self._clock = pool, clock
        self._read: dict[tuple[str, str], _ReadLoad] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    async def load(self, tenant: str, model: str) -> ModelLoad:
        """Return the load of a model as far as it is known now; it never fails."""
        if self._pool is None:
            return ModelLoad(LoadHistory(self._clock.utc(), ()), flaw=NO_COLLECTORS)
        key, now = (tenant, model), self._clock.now()
        self._read = {of: found for of, found in self._read.items() if found.until + KEPT > now}
        is_due = key not in self._read or self._read[key].until <= now
        if is_due and key not in self._tasks:
            task = self._tasks[key] = asyncio.create_task(self._fetch(self._pool, key))
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
        weeks = self._read[key].load if key in self._read else ModelLoad()
        return ModelLoad(weeks.history, await self._rate(self._pool, tenant, model), weeks.flaw)

    async def _fetch(self, pool: CollectorPool, key: tuple[str, str]) -> None:
        now = self._clock.utc().timestamp()
        end = int(now - SETTLED) // FILE_STEP * FILE_STEP
        span = TimeSpan(end - HISTORY_SLOTS * FILE_STEP, end, FILE_STEP, kept_since(now))
        try:
            async with self._places:
                answer = await pool.rows(span.query("model", now, tenant=key[0], model=key[1]), span.kept)
            flaw = "; ".join(answer.flaws)
            found = ModelLoad(flaw=f"{flaw}; look at the collectors") if flaw else ModelLoad(_history(answer.rows, end))
        except TidegateError as error:
            found = ModelLoad(flaw=f"{error}; look at the collectors")
        self._read[key] = _ReadLoad(found, self._clock.now() + (AGAIN if found.history is None else KEPT))

    async def _rate(self, pool: CollectorPool, tenant: str, model: str) -> float | None:
        now = self._clock.utc().timestamp()
        end = window_end(now - SETTLED)
        span = TimeSpan(end - RECENT, end, 10, kept_since(now))
        rows = await whole_rows(pool, span.query("model", now, tenant=tenant, model=model), now)
        return None if isinstance(rows, str) else sum(row.requests for row in rows) / RECENT


def _history(rows: list[StatsRow], end: int) -> LoadHistory:
    """Return the load since the first row of a model: before it nothing is known, and after it no row is no request."""
    first = min((row.key.start for row in rows), default=end) // FILE_STEP * FILE_STEP
    rates = [0.0] * ((end - first) // FILE_STEP)
    for row in rows:
        rates[(row.key.start - first) // FILE_STEP] += row.requests / FILE_STEP
    return LoadHistory(datetime.fromtimestamp(first, UTC), rates)
