"""The quietest time that a release can begin at.

The start is chosen whose slots sum to the least load. The sum is of upper thirds, not of 90th percentiles: of four
weeks the 90th percentile is nearly their maximum, so that one restless night decides. What a window may hold at all is
still bounded by the 90th percentile of each of its slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from k8s_manager.release.windows.load_forecast import LoadForecast, running_sums


@dataclass(frozen=True, slots=True)
class QuietTime:
    """The slot that a window begins in, and the highest 90th percentile within, in requests/s."""

    slot: int
    high: float


def quietest(forecast: LoadForecast, size: int, frozen: Sequence[bool], most: float | None) -> QuietTime | None:
    """Return the quietest `size` slots of the forecast that are not frozen, whose load is known and is `most` at the
    90th percentile (None: any); the earliest of equals. None where there are none."""
    closed = [
        ice or high is None or (most is not None and high > most)
        for ice, high in zip(frozen, forecast.high, strict=True)
    ]
    shut = running_sums([float(one) for one in closed], size)
    sums = running_sums([rate or 0.0 for rate in forecast.upper], size)
    starts = [at for at, count in enumerate(shut) if count == 0]
    if not starts:
        return None
    best = min(starts, key=sums.__getitem__)
    return QuietTime(forecast.first + best, max(rate or 0.0 for rate in forecast.high[best : best + size]))


def least_high(forecast: LoadForecast, size: int, frozen: Sequence[bool]) -> float | None:
    """Return the least `most` with which there would be a window, in requests/s; None where freezes leave none."""
    highs = [
        None
        if any(frozen[at : at + size]) or None in forecast.high[at : at + size]
        else max(rate or 0.0 for rate in forecast.high[at : at + size])
        for at in range(len(frozen) - size + 1)
    ]
    return min((high for high in highs if high is not None), default=None)
