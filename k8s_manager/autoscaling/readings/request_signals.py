"""Demand, concurrency and latency, from the newest window that collectors have counted whole.

Half the collectors count half the demand, so that an answer with any gap is none.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.access_log.rows import WINDOW, StatsRow, total
from collectors.request_statistics.row_query import RowQuery, fine_since, kept_since
from istio_templates.documents.autoscale_signal import Signal, SignalKind
from istio_templates.errors import TidegateError
from k8s_manager.autoscaling.readings.request_figures import request_figure
from k8s_manager.autoscaling.readings.signal_sheet import SignalSheet, signals_of
from k8s_manager.autoscaling.scale_target import ScaleTarget
from k8s_manager.autoscaling.signal_source import SignalReadings
from k8s_manager.runtime.clock import Clock
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.statistics.stats_query import SETTLED
from ratelimiter.autoscale.decision import FRESH
from ratelimiter.autoscale.document_rules import targetless

KINDS: tuple[SignalKind, ...] = ("demand", "concurrency", "latency")
NO_COLLECTORS = "requests are not counted here; start collectors, and this manager with --collectors URL"
Place = tuple[str, str, str]
"""Tenant, model and version, which is empty for a model."""


@dataclass(frozen=True, slots=True)
class CountedWindow:
    """The rows of a window that ends at `end` (epoch seconds), by place; or in a sentence why they cannot be used."""

    end: int
    rows: Mapping[Place, StatsRow] = field(default_factory=dict)
    flaw: str | None = None


class RequestSignals:
    """Asks all collectors once for each level that signals need."""

    def __init__(self, pool: CollectorPool | None, clock: Clock) -> None:
        self._pool, self._clock = pool, clock

    async def read(self, versions: Sequence[ScaleTarget]) -> SignalReadings:
        """Return the signals that come from requests."""
        asked = list(signals_of(versions, KINDS))
        levels = sorted({_level(signal) for _, signal in asked})
        windows = dict(zip(levels, await asyncio.gather(*map(self._window, levels)), strict=True))
        sheet = SignalSheet(self._clock)
        for version, signal in asked:
            window = windows[_level(signal)]
            sheet.put(version, signal, self._found(version, signal, window), window.end)
        return sheet.readings()

    def _found(self, version: ScaleTarget, signal: Signal, window: CountedWindow) -> float | str:
        if flaw := targetless(version.document, version.per_replica).get(signal.name):
            return flaw
        if version.silent:
            return f"gateway {version.silent[0]} logs no requests; give it accessLog {{mode: json}}"
        if window.flaw is not None:
            return window.flaw
        if (age := self._clock.utc().timestamp() - window.end) > FRESH:
            return f"the newest requests that are counted are {age:.0f} s old; look at the collectors"
        is_demand = signal.kind == "demand"
        place = (version.tenant, version.key.model, "" if is_demand else version.key.version)
        return request_figure(signal, window.rows.get(place)) * (float(version.share) if is_demand else 1)

    async def _window(self, level: str) -> CountedWindow:
        now = self._clock.utc().timestamp()
        end = int(now - SETTLED) // WINDOW * WINDOW
        if self._pool is None:
            return CountedWindow(end, flaw=NO_COLLECTORS)
        try:
            answer = await self._pool.rows(RowQuery(level, end - WINDOW, end, WINDOW, fine_since(now)), kept_since(now))
        except TidegateError as error:
            return CountedWindow(end, flaw=f"{error}; look at the collectors")
        if answer.gaps:
            return CountedWindow(
                end, flaw=f"requests are counted in part ({'; '.join(answer.gaps)}); look at the collectors"
            )
        return CountedWindow(end, _by_place(row for row in answer.rows if row.key.start == end - WINDOW))


def _by_place(rows: Iterable[StatsRow]) -> dict[Place, StatsRow]:
    found: dict[Place, list[StatsRow]] = {}
    for row in rows:
        found.setdefault((row.key.place.tenant, row.key.place.model, row.key.place.version), []).append(row)
    return {place: total(parts[0].key, parts) for place, parts in found.items()}


def _level(signal: Signal) -> str:
    return "model" if signal.kind == "demand" else "version"
