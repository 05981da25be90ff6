"""Synthetic years of load that release windows are chosen in: holidays, growth, gaps, outages, in several time zones.

The kinds of year were written down before any forecast was measured on them. Each is seeded by its name, so that its
figures are the same on any machine. `truth` is what callers asked for; `seen` is what statistics know of it: nothing in
a gap, and zero in an outage.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

STEP = 300
DAY = 86400 // STEP
BEFORE = 28
"""Days of history before the year begins."""
DAYS = BEFORE + 53 * 7
FIRST = datetime(2024, 12, 9, tzinfo=UTC)
"""A Monday; the first week to choose in begins 28 days later."""

Shape = Callable[[float, int], float]
"""The load by the hour of the local day and the weekday (Monday 0), 1 being a usual peak."""


@dataclass(frozen=True, slots=True)
class YearKind:
    """How the load of a year is made: requests/s at the peak; the day's shape; growth in a week; the standard
    deviation of days, and of slots (correlated over half an hour, besides that of the arrivals); how a day differs
    from others; what a schedule in UTC adds; the share of slots and the days without statistics; outages; the share of
    the peak that a window may have."""

    name: str
    zone: str
    shape: Shape
    peak: float = 200.0
    growth: float = 0.0
    days: float = 0.02
    slots: float = 0.03
    special: Mapping[date, float | str] = field(default_factory=dict)
    level: Callable[[int], float] = lambda _: 1.0
    job: Callable[[int, float], float] = lambda _, __: 0.0
    gaps: float = 0.0
    away: tuple[range, ...] = ()
    outages: int = 0
    peak_share: float = 0.3


@dataclass(frozen=True, slots=True)
class LoadYear:
    """A year, in requests/s for every 5 min from `FIRST` on: what was asked for, its mean without any noise, and what
    statistics have seen; and the slots of outages."""

    kind: YearKind
    truth: tuple[float, ...]
    mean: tuple[float, ...]
    seen: tuple[float | None, ...]
    outages: frozenset[int]


def bell(hour: float, centre: float, width: float) -> float:
    """Return a peak of height 1 around an hour of the day."""
    off = (hour - centre + 12) % 24 - 12
    return math.exp(-((off / width) ** 2) / 2)


def daytime(night: float, weekend: float) -> Shape:
    """Return office hours with a quieter weekend; nights are a share of the peak."""
    return lambda hour, day: night + (1 - night) * bell(hour, 13.5, 3.6) * (weekend if day >= 5 else 1)


def evening(night: float, weekend: float) -> Shape:
    """Return consumers: busy evenings, a busy weekend, the trough at five in the morning."""

    def shape(hour: float, day: int) -> float:
        busy = max(bell(hour, 20.5, 3.2), 0.6 * bell(hour, 13, 3.5))
        return night + (1 - night) * busy * (weekend if day >= 5 else 1)

    return shape


def meals(hour: float, _: int) -> float:
    """Return two peaks a day."""
    return 0.04 + 0.96 * max(0.8 * bell(hour, 12, 1.5), bell(hour, 18.5, 1.8))


def two_regions(hour: float, day: int) -> float:
    """Return two continents, six hours apart."""
    return 0.55 * daytime(0.1, 0.4)(hour, day) + 0.45 * evening(0.12, 1.1)((hour - 6) % 24, day)


def flat(_: float, __: int) -> float:
    """Return machines that never sleep."""
    return 0.95


def nearly_flat(hour: float, _: int) -> float:
    """Return a day that hardly differs from its night."""
    return 0.78 + 0.22 * bell(hour, 14, 4)


def _days(*spans: tuple[date, int], factor: float | str) -> dict[date, float | str]:
    return {first + timedelta(days=more): factor for first, count in spans for more in range(count)}


SUNDAYS = _days(
    *((date(2025, month, day), 1) for month, day in ((1, 6), (4, 18), (4, 21), (5, 1), (5, 29), (6, 9), (10, 3))),
    (date(2024, 12, 24), 3),
    (date(2025, 12, 24), 3),
    (date(2025, 1, 1), 1),
    (date(2026, 1, 1), 1),
    factor="sunday",
)
"""Holidays on which the day is like a Sunday."""
SALES = _days((date(2025, 11, 27), 5), factor=1.9) | _days((date(2025, 12, 8), 15), factor=1.4)
VACATIONS = _days((date(2025, 4, 14), 8), (date(2025, 6, 23), 68), (date(2025, 12, 22), 16), factor=0.45)
PATCHES = _days(*((date(2025, month, 11), 2) for month in range(1, 13)), factor=1.6)


def _nightly(hour: float, height: float, lasts: float = 1.0) -> Callable[[int, float], float]:
    """Return a job that a schedule in UTC starts each night, in requests/s."""
    return lambda _, utc: height if hour <= utc < hour + lasts else 0.0


def _moved(_: int, utc: float) -> float:
    """Return a job that is moved in the middle of the year, from midnight to three o'clock UTC."""
    begins = 0.0 if _ < BEFORE + 180 else 3.0
    return 40.0 if begins <= utc < begins + 1.5 else 0.0


KINDS = (
    YearKind("office hours", "Europe/Berlin", daytime(0.05, 0.25)),
    YearKind("office hours, holidays", "Europe/Vienna", daytime(0.05, 0.3), special=SUNDAYS),
    YearKind("evenings, holidays", "America/New_York", evening(0.08, 1.15), special=SUNDAYS),
    YearKind("flat", "UTC", flat, days=0.01),
    YearKind("nearly flat", "Asia/Singapore", nearly_flat, days=0.01),
    YearKind("grows 3 % a week", "America/Sao_Paulo", evening(0.07, 1.1), peak=80, growth=0.03),
    YearKind("falls 2 % a week", "Europe/London", daytime(0.08, 0.4), growth=-0.02),
    YearKind(
        "doubles at two launches",
        "Australia/Sydney",
        evening(0.06, 1.2),
        level=lambda day: 1 + (day > 120) + 2 * (day > 240),
    ),
    YearKind(
        "gaps", "Asia/Kolkata", daytime(0.07, 0.5), gaps=0.1, away=tuple(range(d, d + 1) for d in range(9, 390, 21))
    ),
    YearKind("long gaps", "America/Bogota", evening(0.09, 1.0), away=(range(60, 65), range(150, 160), range(300, 303))),
    YearKind("outages", "Europe/Paris", evening(0.08, 1.1), outages=14),
    YearKind("sales", "America/Los_Angeles", evening(0.08, 1.25), special=SALES),
    YearKind("a job each night, local", "Australia/Lord_Howe", daytime(0.06, 0.4), job=_nightly(16.5, 50)),
    YearKind("a job each night, UTC", "America/Chicago", evening(0.07, 1.0), job=_nightly(9, 45, 1.5)),
    YearKind("a job that is moved", "Europe/Warsaw", daytime(0.06, 0.5), job=_moved),
    YearKind("few requests", "Europe/Madrid", daytime(0.15, 0.5), peak=2.0),
    YearKind("restless", "Asia/Tokyo", evening(0.1, 1.1), days=0.03, slots=0.05),
    YearKind("two peaks a day", "Asia/Seoul", meals),
    YearKind("two regions", "Europe/Amsterdam", two_regions, peak_share=0.4),
    YearKind("school terms", "Europe/Rome", daytime(0.06, 0.35), special=VACATIONS),
)

WILD = YearKind("wild", "Asia/Tokyo", evening(0.1, 1.1), days=0.04, slots=0.08)
"""One more, in which even a forecast that knows every mean finds the quietest time in half of the weeks."""


def load_year(kind: YearKind, seed: str = "") -> LoadYear:
    """Return the year of a kind; another seed gives other noise."""
    noise = random.Random(kind.name + seed)
    truth, mean = zip(*_truth(kind, noise), strict=True)
    outages = frozenset(_outages(kind, noise))
    away = {slot for days in kind.away for day in days for slot in range(day * DAY, (day + 1) * DAY)}
    seen = [0.0 if slot in outages else rate for slot, rate in enumerate(truth)]
    hidden = {slot for slot in range(len(truth)) if slot in away or noise.random() < kind.gaps}
    return LoadYear(
        kind, truth, mean, tuple(None if slot in hidden else rate for slot, rate in enumerate(seen)), outages
    )


def _truth(kind: YearKind, noise: random.Random) -> Iterator[tuple[float, float]]:
    zone, drift, factors = ZoneInfo(kind.zone), 0.0, dict[date, float]()
    keep = math.exp(-STEP / 1800)
    for day in range(DAYS):
        level = kind.level(day) * (1 + kind.growth) ** (day / 7)
        for slot in range(DAY):
            if slot % 3 == 0:  # no offset changes within a quarter of an hour
                local = (FIRST + timedelta(days=day, seconds=slot * STEP)).astimezone(zone)
                factor = factors.setdefault(local.date(), math.exp(noise.gauss(0, kind.days)))
                special = kind.special.get(local.date(), 1.0)
                weekday, times = (6, 1.0) if special == "sunday" else (local.weekday(), float(special))
            hour = local.hour + (local.minute + 5 * (slot % 3)) / 60
            drift = keep * drift + noise.gauss(0, kind.slots * math.sqrt(1 - keep**2))
            calm, job = kind.peak * level * kind.shape(hour, weekday) * times, kind.job(day, slot * STEP / 3600)
            rate = calm * factor * math.exp(drift) + job
            yield max(0.0, noise.gauss(rate * STEP, math.sqrt(rate * STEP)) / STEP), calm + job


def _outages(kind: YearKind, noise: random.Random) -> Iterator[int]:
    for _ in range(kind.outages):
        first = noise.randrange(DAYS * DAY)
        yield from range(first, min(DAYS * DAY, first + noise.randrange(6, 72)))
