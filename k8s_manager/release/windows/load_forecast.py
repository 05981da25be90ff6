"""The load of the coming days, by weekday and time of day, from the four weeks behind.

For each slot of the local week there is one rate from each of the weeks. Their median is what is expected, their 90th
percentile what is rather not exceeded. Two things are done beyond that, because plain buckets missed on synthetic years
(`benchmarks/statistics/windows.py`):

- Each week is brought to one level first (by the median ratio of its slots to those of all weeks). Otherwise growth, a
  launch or vacations within the four weeks look like a busy Tuesday. The forecast stands at the level of the last
  week, or of all if that is higher, so that a quiet week does not make the live guards stop the next release.
- People move with their clocks, jobs of a cluster do not. Where clocks have changed within these weeks, and the
  forecasts of a slot by local time and by UTC are far apart, only the weeks since the change count, and the higher of
  both for a slot that has not come since.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from k8s_manager.release.windows.load_history import WEEKS, RecentLoad
from k8s_manager.release.windows.local_week import WEEK_SLOTS, changes_clocks, last_change, week_slots

MIDDLE, UPPER, HIGH = 0.5, 2 / 3, 0.9
SILENT = 0.05
"""A week at less than this share of the usual level says nothing: the model was not in use, or was away."""

DISAGREEMENT = 1.5
"""Forecasts are far apart where one is more than so many times the other."""

Rates = list[float]
"""In requests/s, in ascending order."""


@dataclass(frozen=True, slots=True)
class LoadForecast:
    """The forecast of the slots from `first` on, in requests/s: the median, the upper third (of four weeks the third
    lowest) and the 90th percentile of the weeks, each None where no week knows the slot; and the medians of the whole
    local week."""

    first: int
    usual: tuple[float | None, ...]
    upper: tuple[float | None, ...]
    high: tuple[float | None, ...]
    week: tuple[float | None, ...]

    @property
    def peak(self) -> float:
        """The highest median of the week."""
        return max((rate for rate in self.week if rate is not None), default=0.0)

    def evenness(self, slots: int) -> float:
        """Return the least over the highest mean of so many slots in a row; 1 is a flat week, and one without load."""
        known = [rate for rate in self.week if rate is not None]
        sums = running_sums([*known, *known[: slots - 1]], slots)
        return min(sums) / max(sums) if sums and max(sums) > 0 else 1.0


def forecast_load(load: RecentLoad, zone: str, first: int, count: int) -> LoadForecast:
    """Return the forecast of `count` slots from `first` on, none of them before the end of the history."""
    places = week_slots(zone, load.first, len(load.rates))
    rates = _levelled(load, places)
    local = _buckets(rates, places)
    coming = [local[at] for at in week_slots(zone, first, count)]
    if changes_clocks(zone, load.first, first + count - load.first):
        coming = _with_changed_clocks(rates, load.first, zone, first, coming)
    usual, upper, high = (tuple(quantile(one, share) for one in coming) for share in (MIDDLE, UPPER, HIGH))
    return LoadForecast(first, usual, upper, high, tuple(quantile(one, MIDDLE) for one in local))


def quantile(ascending: Sequence[float], share: float) -> float | None:
    """Return a quantile of values in ascending order, between two of them in proportion; None of none."""
    if not ascending:
        return None
    at = share * (len(ascending) - 1)
    low = int(at)
    above = ascending[min(low + 1, len(ascending) - 1)]
    return ascending[low] + (at - low) * (above - ascending[low])


def running_sums(values: Sequence[float], size: int) -> list[float]:
    """Return the sum of each `size` values in a row."""
    total, sums = 0.0, [0.0]
    for value in values:
        total += value
        sums.append(total)
    return [sums[at + size] - sums[at] for at in range(len(values) - size + 1)]


def _buckets(rates: Sequence[float | None], places: Sequence[int]) -> list[Rates]:
    """Return the known rates of each slot of the week, in ascending order."""
    found: list[Rates] = [[] for _ in range(WEEK_SLOTS)]
    for rate, at in zip(rates, places, strict=True):
        if rate is not None:
            found[at].append(rate)
    for bucket in found:
        bucket.sort()
    return found


def _levelled(load: RecentLoad, places: Sequence[int]) -> list[float | None]:
    """Return the rates with each week at the level that the next one is expected at."""
    levels = _levels(load, places)
    known = [level for level in levels if level is not None]
    if not known:
        return list(load.rates)
    expected = max(median(known), next(level for level in levels if level is not None))
    factors = [None if level is None else expected / level for level in levels]
    ages = range(len(load.rates) - 1, -1, -1)
    scaled = ((rate, factors[age // WEEK_SLOTS]) for rate, age in zip(load.rates, ages, strict=True))
    return [None if rate is None or factor is None else rate * factor for rate, factor in scaled]


def _levels(load: RecentLoad, places: Sequence[int]) -> list[float | None]:
    """Return the level of each week, the last one first, 1 being usual; None for a week that says nothing."""
    usual = [quantile(bucket, MIDDLE) for bucket in _buckets(load.rates, places)]
    ratios: list[list[float]] = [[] for _ in range(WEEKS)]
    for at, (rate, place) in enumerate(zip(load.rates, places, strict=True)):
        if rate is not None and (base := usual[place]):
            ratios[(len(load.rates) - 1 - at) // WEEK_SLOTS].append(rate / base)
    found = [median(week) if week else None for week in ratios]
    return [None if level is None or level < SILENT else level for level in found]


def _with_changed_clocks(
    rates: Sequence[float | None], begins: int, zone: str, first: int, coming: Sequence[Rates]
) -> list[Rates]:
    """Return the rates that the coming slots are forecast from, where local time and UTC may disagree."""
    by_utc = _buckets(rates, week_slots("UTC", begins, len(rates)))
    changed = last_change(zone, begins, len(rates)) - begins
    recent = _buckets(rates[changed:], week_slots(zone, begins + changed, len(rates) - changed))
    places = zip(week_slots(zone, first, len(coming)), week_slots("UTC", first, len(coming)), strict=True)
    return [_agreed(one, by_utc[utc], recent[at]) for one, (at, utc) in zip(coming, places, strict=True)]


def _agreed(local: Rates, by_utc: Rates, recent: Rates) -> Rates:
    """Return the rates by local time, unless those by UTC are far off: then those since the change, or the higher."""
    one, other = quantile(local, MIDDLE) or 0.0, quantile(by_utc, MIDDLE) or 0.0
    if max(one, other) <= DISAGREEMENT * min(one, other):
        return local
    return recent or (local if one >= other else by_utc)
