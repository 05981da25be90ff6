"""Whether a release may take its next step now: the windows of its model, the freezes of its tenant and gateways. Pure.

Weights that it has already stay outside a window; what is lost, fails or is aborted goes back at any time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from istio_templates.documents.fields import span
from istio_templates.documents.override import moment
from istio_templates.documents.rollouts.release_time import LowTraffic, ReleaseFreeze, RolloutWindow
from k8s_manager.release.windows.cron_window import CronWindow
from k8s_manager.release.windows.time_range import TimeRange
from k8s_manager.release.windows.window_rules import LONGEST_DELAY, Freeze, WindowRules, freeze_at
from k8s_manager.release.windows.window_text import span_text

MOST_TURNS = 50
"""Freezes and windows that are gone through for the next time."""
_MINUTE = timedelta(minutes=1)


class ReleaseTimes(NamedTuple):
    """The windows of a model (none: any time will do), and the freezes of its tenant and of the
    gateways that serve it, which always win. With `quiet`
    its hours are chosen by the load (see `quiet_hours`)."""

    windows: tuple[CronWindow, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    quiet: WindowRules | None = None

    def is_open(self, now: datetime) -> bool:
        """Tell whether it is a time for steps, but for freezes."""
        return not self.windows or any(window.holds(now) for window in self.windows)

    def hindrance(self, now: datetime) -> str:
        """Return why no step may begin now, and when one may; empty where nothing is in the way."""
        if freeze := freeze_at(self.freezes, now):
            return f"Freeze {freeze.name} is in force, so no step begins; {self._next(now)}."
        if self.is_open(now):
            return ""
        return f"No window of the rollout is open, so no step begins; {self._next(now)}."

    def _next(self, now: datetime) -> str:
        zone = self.windows[0].zone if self.windows else "UTC"
        free = _free_time(self, now.replace(second=0, microsecond=0))
        if free is None:
            days = LONGEST_DELAY.days
            return f"none will in the next {days} days, so correct rollout.windows or the freezes, or abort"
        if free.ends - now >= LONGEST_DELAY - _MINUTE:
            return f"it may from {span_text(free, zone).partition(' to ')[0]} ({zone}) on"
        return f"the next one is {span_text(free, zone)}"


@lru_cache(1024)
def _free_time(times: ReleaseTimes, now: datetime) -> TimeRange | None:
    """Return the first time in which steps may begin; None where none comes, or only behind many freezes."""
    at, end = now, now + LONGEST_DELAY
    for _ in range(MOST_TURNS):
        if at >= end:
            return None
        if freeze := freeze_at(times.freezes, at):
            at = freeze.end_at(at) or end
        elif times.is_open(at):
            return TimeRange(at, _closing(times, at, end))
        else:
            begins = (window.begin_after(at, end - at) for window in times.windows)
            at = min((one for one in begins if one is not None), default=end)
    return None


def _closing(times: ReleaseTimes, at: datetime, end: datetime) -> datetime:
    """Return when no step may begin any more, after a moment at which one may."""
    closes = end
    if times.windows:
        closes = at
        for _ in range(MOST_TURNS):
            ends = [one for window in times.windows if (one := window.end_at(closes)) is not None]
            if not ends:
                break
            closes = max(ends)
    begins = (freeze.begin_after(at, end - at) for freeze in times.freezes)
    return min([closes, *(one for one in begins if one is not None)])


ANY_TIME = ReleaseTimes()


def release_times(
    windows: Sequence[RolloutWindow], freezes: Sequence[ReleaseFreeze], low_traffic: LowTraffic | None = None
) -> ReleaseTimes:
    """Return the times as documents say them."""
    crons = tuple(CronWindow(one.cron, span(one.length), one.time_zone) for one in windows)
    quiet = None if low_traffic is None else _quiet(low_traffic, crons)
    return ReleaseTimes(crons, tuple(Freeze(one.name, _time(one)) for one in freezes), quiet)


def _quiet(found: LowTraffic, windows: tuple[CronWindow, ...]) -> WindowRules:
    return WindowRules(
        span(found.length),
        windows,
        max_delay=span(found.max_delay),
        zone=found.time_zone,
        peak_share=found.peak_percent / 100,
        excess=found.excess,
    )


def _time(freeze: ReleaseFreeze) -> TimeRange | CronWindow:
    if freeze.start is not None and freeze.end is not None:
        return TimeRange(moment(freeze.start), moment(freeze.end))
    assert freeze.cron is not None and freeze.length is not None
    return CronWindow(freeze.cron, span(freeze.length), freeze.time_zone)
