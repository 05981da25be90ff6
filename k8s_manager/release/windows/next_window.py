"""The next window of a release.

The decision is to be stored and followed until its window has ended: asked again in the middle of a quiet night, this
would rather choose the next one. Where a live guard (`live_guard.py`) stops a release, or its window ends too early,
the next one is asked for with the end of that one as `earliest` and the same `deadline`.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from k8s_manager.release.windows.load_forecast import LoadForecast, forecast_load
from k8s_manager.release.windows.load_history import LoadHistory
from k8s_manager.release.windows.local_week import STEP, moment_of, next_slot, slot_of
from k8s_manager.release.windows.quiet_time import QuietTime, least_high, quietest
from k8s_manager.release.windows.static_window import at_once, by_cron
from k8s_manager.release.windows.time_range import TimeRange
from k8s_manager.release.windows.window_decision import ForecastFigures, WindowDecision, WindowReason
from k8s_manager.release.windows.window_rules import Freeze, WindowRules
from k8s_manager.release.windows.window_search import WindowSearch
from k8s_manager.release.windows.window_text import length_text, span_text

EVEN = 0.7
"""Traffic is flat where its least is more than this share of its most."""


def next_window(
    rules: WindowRules,
    history: LoadHistory | None,
    freezes: Sequence[Freeze],
    now: datetime,
    earliest: datetime | None = None,
    deadline: datetime | None = None,
) -> WindowDecision:
    """Return the window that begins from `earliest` (now) until `deadline` (`max_delay` from now), or why none does.

    All moments are aware. The same arguments give the same decision. `history` is read up to `now`; None: nothing is
    known.
    """
    search = WindowSearch(rules, tuple(freezes), max(now, earliest or now), deadline or now + rules.max_delay)
    if search.deadline < search.earliest:
        return search.expired()
    load = (history or LoadHistory(now, ())).recent(now)
    if lack := load.lack():
        return by_cron(search, lack) if rules.windows else at_once(search, lack)
    first = next_slot(search.earliest)
    count = max(0, slot_of(search.deadline) - first + 1) + search.slots - 1
    forecast = forecast_load(load, rules.zone, first, count)
    if forecast.evenness(search.slots) <= EVEN:
        return _by_load(search, forecast, rules.peak_share * forecast.peak)
    lack = f"traffic is flat, never below {EVEN:.0%} of its peak"
    return by_cron(search, lack) if rules.windows else _by_load(search, forecast, None)


def guard_figures(rules: WindowRules, history: LoadHistory, now: datetime) -> ForecastFigures | None:
    """Return what the load is compared with `now`; None where the weeks behind say too little, or traffic is flat."""
    return _slot_figures(rules, history, slot_of(now))


@lru_cache(128)
def _slot_figures(rules: WindowRules, history: LoadHistory, slot: int) -> ForecastFigures | None:
    load = history.recent(moment_of(slot))
    if load.lack():
        return None
    forecast = forecast_load(load, rules.zone, slot, 1)
    if forecast.evenness(-(-rules.length // STEP)) > EVEN:
        return None
    return _figures(forecast, QuietTime(slot, 0.0), 1, rules.peak_share * forecast.peak)


def _by_load(search: WindowSearch, forecast: LoadForecast, most: float | None) -> WindowDecision:
    """Return the quietest window; `most` bounds the load in it, None where traffic is flat."""
    frozen = search.frozen_slots(forecast.first, len(forecast.usual))
    found = quietest(forecast, search.slots, frozen, most)
    if found is None:
        high = least_high(forecast, search.slots, frozen)
        return search.frozen_over() if high is None else _too_busy(search, high / forecast.peak)
    begins = moment_of(found.slot)
    span = TimeRange(begins, begins + search.rules.length)
    reason = WindowReason.LOW_TRAFFIC if most is not None else WindowReason.FLAT
    figures = _figures(forecast, found, search.slots, most)
    return WindowDecision(*span, reason, _sentence(search, span, found, forecast.peak, most is None), figures)


def _figures(forecast: LoadForecast, found: QuietTime, size: int, most: float | None) -> ForecastFigures:
    within = slice(found.slot - forecast.first, found.slot - forecast.first + size)
    usual, high = (tuple(rate or 0.0 for rate in rates[within]) for rates in (forecast.usual, forecast.high))
    return ForecastFigures(found.slot, usual, high, forecast.peak, most)


def _sentence(search: WindowSearch, span: TimeRange, found: QuietTime, peak: float, is_flat: bool) -> str:
    share = found.high / peak if peak else 0.0
    said = f"the quietest time by the weeks behind is {span_text(span, search.rules.zone)}, at most {share:.0%} of the"
    if is_flat:
        return f"Traffic is flat, so that no time is quiet; {said} peak; give static windows to choose another."
    return f"{said[0].upper()}{said[1:]} weekly peak of {peak:.4g} requests/s."


def _too_busy(search: WindowSearch, share: float) -> WindowDecision:
    rules = search.rules
    return search.none(
        WindowReason.NO_QUIET_TIME,
        f"no {length_text(rules.length)} stay below {rules.peak_share:.0%} of the weekly peak, the quietest reach "
        f"{share:.0%}; raise the share to that, choose cron windows, or release by hand",
    )
