"""The window of a release, or why none comes, and the forecast that live guards compare the load with."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from k8s_manager.release.windows.local_week import slot_of


class WindowReason(StrEnum):
    """Why a window is where it is, or why there is none (the last four)."""

    LOW_TRAFFIC = "LowTraffic"
    STATIC = "StaticWindow"
    FLAT = "FlatTraffic"
    TOO_LITTLE_HISTORY = "TooLittleHistory"
    FROZEN = "Frozen"
    NO_QUIET_TIME = "NoQuietTime"
    NO_CRON_WINDOW = "NoCronWindow"
    EXPIRED = "WindowExpired"


@dataclass(frozen=True, slots=True)
class ForecastFigures:
    """The load that a window was chosen by, in requests/s: the median and the 90th percentile of the weeks for each
    slot from `first` on; the weekly peak; and the most that the live rate may be (None: any, traffic being flat)."""

    first: int
    usual: tuple[float, ...]
    high: tuple[float, ...]
    peak: float
    most: float | None

    def expected(self, moment: datetime) -> tuple[float, float]:
        """Return the median and the 90th percentile of the slot that a moment is in."""
        at = min(max(0, slot_of(moment) - self.first), len(self.usual) - 1)
        return self.usual[at], self.high[at]


@dataclass(frozen=True, slots=True)
class WindowDecision:
    """When a release may run, from `start` until `end` (None: no window comes before it may wait no longer), why, as a
    sentence that says what to do; with the forecast where it was chosen by the load."""

    start: datetime | None
    end: datetime | None
    reason: WindowReason
    sentence: str
    figures: ForecastFigures | None = None

    @property
    def is_warning(self) -> bool:
        """Whether the load could not choose, so that the owner should know."""
        return self.start is None or self.reason in (WindowReason.FLAT, WindowReason.TOO_LITTLE_HISTORY)
