"""What statistics know of the load of some weeks, and whether that is enough to forecast the next one."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from k8s_manager.release.windows.local_week import DAY_SLOTS, STEP, WEEK_SLOTS, slot_of

WEEKS = 4
HISTORY_SLOTS = WEEKS * WEEK_SLOTS
"""28 days."""
LEAST_SLOTS = 14 * DAY_SLOTS
LEAST_COVERAGE, LEAST_KNOWN = 0.8, 2
"""So much of the local week is to be known from two weeks at least. A gap of ten days in 28 leaves that much, and a
forecast with it is far better than none."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadHistory:
    """The rate of requests in each five minutes from `begins` on, in requests/s; None where statistics are missing.
    Each is its own: what follows from one is remembered by that.

    `begins` is aware, and a multiple of five minutes. Rates that are negative or not finite count as missing.
    """

    begins: datetime
    rates: Sequence[float | None]

    def recent(self, now: datetime) -> "RecentLoad":
        """Return the last 28 days before the slot that `now` is in, which is not complete yet."""
        end, first = slot_of(now), slot_of(self.begins)
        from_slot = max(first, end - HISTORY_SLOTS)
        rates = [_known(rate) for rate in self.rates[from_slot - first : max(0, end - first)]]
        silent = next((at for at, rate in enumerate(rates) if rate is not None), len(rates))
        return RecentLoad(end, tuple(rates[silent:]) + (None,) * max(0, end - from_slot - len(rates)))


@dataclass(frozen=True, slots=True)
class RecentLoad:
    """The rates of the slots before `end`, at most 28 days, the first of them known."""

    end: int
    rates: tuple[float | None, ...]

    @property
    def first(self) -> int:
        """The slot of the first rate."""
        return self.end - len(self.rates)

    @property
    def coverage(self) -> float:
        """The share of the slots of a week that statistics know from two weeks or more."""
        first = self.first
        known = Counter((first + at) % WEEK_SLOTS for at, rate in enumerate(self.rates) if rate is not None)
        return sum(count >= LEAST_KNOWN for count in known.values()) / WEEK_SLOTS

    def lack(self) -> str | None:
        """Return what is missing for a forecast, as a clause; None where it is enough."""
        if len(self.rates) < LEAST_SLOTS:
            days = len(self.rates) * STEP.total_seconds() / 86400
            return f"statistics reach back {days:.1f} days and a forecast needs 14"
        if self.coverage < LEAST_COVERAGE:
            found, needed = f"{self.coverage:.0%}", f"{LEAST_COVERAGE:.0%}"
            return f"two of the weeks behind know {found} of the week and a forecast needs {needed}"
        return None


def _known(rate: float | None) -> float | None:
    return rate if rate is not None and math.isfinite(rate) and rate >= 0 else None
