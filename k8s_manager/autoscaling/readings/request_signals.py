"""Demand, concurrency and latency, from the newest window that collectors have counted whole, or newer ones.

Callers are refused while nobody looks. So what is counted already of a newer window counts where it is more: it may
lack requests, and then says too little, which argues for nothing.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.access_log.rows import WINDOW, StatsRow, total
from collectors.request_statistics.row_query import RowQuery, fine_since
from istio_templates.documents.autoscale_signal import Signal, SignalKind
from k8s_manager.autoscaling.readings.request_figures import request_figure
from k8s_manager.autoscaling.readings.signal_sheet import SignalSheet, signals_of
from k8s_manager.autoscaling.scale_target import ScaleTarget
from k8s_manager.autoscaling.signal_source import SignalReadings
from k8s_manager.runtime.clock import Clock
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.statistics.stats_query import SETTLED, SOON
from k8s_manager.statistics.whole_rows import logs_nothing, whole_rows, window_end
from ratelimiter.autoscale.document_rules import targetless

KINDS: tuple[SignalKind, ...] = ("demand", "concurrency", "latency")
Found = tuple[str] | tuple[float, int]
"""In a sentence why there is nothing; or a figure and the end of the window that says it."""
Place = tuple[str, str, str]
"""Tenant, model and version, which is empty for a model."""


@dataclass(frozen=True, slots=True)
class CountedWindows:
    """The rows of windows by their ends (epoch seconds) and by place, the first of them counted whole; or in a sentence
    why they cannot be used."""

    rows: Mapping[int, Mapping[Place, StatsRow]] = field(default_factory=dict)
    flaw: str | None = None


class RequestSignals:
    """Asks all collectors once for each level that signals need."""

    def __init__(self, pool: CollectorPool | None, clock: Clock) -> None:
        self._pool, self._clock = pool, clock

    async def read(self, versions: Sequence[ScaleTarget]) -> SignalReadings:
        """Return the signals that come from requests."""
        asked = list(signals_of(versions, KINDS))
        levels = sorted({level for version, signal in asked for level in _levels(version, signal)})
        windows = dict(zip(levels, await asyncio.gather(*map(self._windows, levels)), strict=True))
        sheet = SignalSheet(self._clock)
        for version, signal in asked:
            found = [self._found(version, signal, level, windows[level]) for level in _levels(version, signal)]
            sheet.put(version, signal, *_most(found))
        return sheet.readings()

    def _found(self, version: ScaleTarget, signal: Signal, level: str, windows: CountedWindows) -> Found:
        """Return the most that a window says, and its end; or in a sentence why there is nothing."""
        if flaw := targetless(version.document, version.per_replica).get(signal.name):
            return (flaw,)
        if version.silent:
            return (logs_nothing(version.silent[0]),)
        if windows.flaw is not None:
            return (windows.flaw,)
        is_of_model = level == "model"
        place = (version.tenant, version.key.model, "" if is_of_model else version.key.version)
        part = float(version.share) if is_of_model else 1.0
        return max((request_figure(signal, rows.get(place)) * part, end) for end, rows in windows.rows.items())

    async def _windows(self, level: str) -> CountedWindows:
        now = self._clock.utc().timestamp()
        ends = range(window_end(now - SETTLED), window_end(now - SOON) + 1, WINDOW)
        query = RowQuery(level, ends[0] - WINDOW, ends[-1], WINDOW, fine_since(now))
        rows = await whole_rows(self._pool, query, now)
        if isinstance(rows, str):
            return CountedWindows(flaw=rows)
        return CountedWindows({end: _by_place(row for row in rows if row.key.start == end - WINDOW) for end in ends})


def _by_place(rows: Iterable[StatsRow]) -> dict[Place, StatsRow]:
    found: dict[Place, list[StatsRow]] = {}
    for row in rows:
        found.setdefault((row.key.place.tenant, row.key.place.model, row.key.place.version), []).append(row)
    return {place: total(parts[0].key, parts) for place, parts in found.items()}


def _levels(version: ScaleTarget, signal: Signal) -> tuple[str, ...]:
    """Return where a signal is counted: demand at the model, of which a version is to get its weight; where matches
    send requests past the weights, at the version too."""
    if signal.kind != "demand":
        return ("version",)
    return ("model", "version") if version.has_matches else ("model",)


def _most(found: Sequence[Found]) -> Found:
    """Return the first that cannot be read, else the highest figure."""
    flaws = [one for one in found if len(one) == 1]
    return flaws[0] if flaws else max(one for one in found if len(one) == 2)
