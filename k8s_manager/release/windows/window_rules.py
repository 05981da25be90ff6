"""When a release that chooses its hours by the load may run, and freezes, in which none does."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from istio_templates.text.time_zone import zone_of
from k8s_manager.release.windows.cron_window import CronWindow
from k8s_manager.release.windows.local_week import STEP
from k8s_manager.release.windows.time_range import TimeRange

LONGEST_DELAY = timedelta(days=92)
LONGEST_RELEASE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class WindowRules:
    """What a document says of its quiet hours.

    `length` is how long a release is estimated to run, `max_delay` how long it may wait for its window to begin.
    `windows` are those of cron, which serve where the load says nothing. `peak_share` is the most of
    the weekly peak that a window may have, `excess` how many times the forecast the live rate may be.

    Raises `ValueError` for what can never be kept.
    """

    length: timedelta
    windows: tuple[CronWindow, ...] = ()
    max_delay: timedelta = timedelta(days=7)
    zone: str = "UTC"
    peak_share: float = 0.3
    excess: float = 1.25

    def __post_init__(self) -> None:
        zone_of(self.zone)
        if not STEP <= self.length <= LONGEST_RELEASE:
            raise ValueError(f"length {self.length}: write from 5 minutes to 7 days")
        if not STEP <= self.max_delay <= LONGEST_DELAY:
            raise ValueError(f"maxDelay {self.max_delay}: write from 5 minutes to 92 days")
        if not 0 < self.peak_share <= 1:
            raise ValueError(f"a share of {self.peak_share:g} of the peak: write more than 0 and at most 1")
        if not 1 <= self.excess < math.inf:
            raise ValueError(f"{self.excess:g} times the forecast: write at least 1")


@dataclass(frozen=True, slots=True)
class Freeze:
    """A time in which no release of a tenant or of the fleet begins or goes on: once, or at each moment of a cron."""

    name: str
    time: TimeRange | CronWindow

    def end_at(self, moment: datetime) -> datetime | None:
        """Return when it ends that holds a moment; None where it does not."""
        if isinstance(self.time, CronWindow):
            return self.time.end_at(moment)
        return self.time.ends if self.time.holds(moment) else None

    def begin_after(self, moment: datetime, farthest: timedelta) -> datetime | None:
        """Return when it begins next behind a moment; None where it does not for so long."""
        if isinstance(self.time, CronWindow):
            return self.time.begin_after(moment, farthest)
        return self.time.begins if moment < self.time.begins <= moment + farthest else None

    def spans(self, begins: datetime, ends: datetime) -> list[TimeRange]:
        """Return its spans that overlap a time."""
        if isinstance(self.time, CronWindow):
            return self.time.spans(begins, ends)
        return [self.time] if self.time.overlaps(TimeRange(begins, ends)) else []


def freeze_at(freezes: Iterable[Freeze], moment: datetime) -> Freeze | None:
    """Return the first freeze that is in force at a moment."""
    return next((freeze for freeze in freezes if freeze.time.holds(moment)), None)
