"""Which replica counts from a metrics system are believed. Pure.

A sample that is missing, old, no whole number, negative or absurd changes nothing: the last good count stands, with its
time, until it is too old to be trusted (then the model's declared fallback holds). A good one moves the count by one
bounded step, so that a wrong figure between two right ones cannot open or close a model at once.
"""

from dataclasses import dataclass

MOST = 10_000
OLDEST = 90.0  # seconds: three scrapes of 30 s
AHEAD = 30.0  # seconds by which clocks may differ


@dataclass(frozen=True, slots=True)
class Sample:
    """A figure as it was scraped, and when (seconds since 1970)."""

    value: float
    at: float


@dataclass(frozen=True, slots=True)
class TrustedCount:
    """The count that is believed, and when its last good sample was taken (seconds since 1970)."""

    count: int
    at: float


def believable(sample: Sample | None, now: float) -> bool:
    """Tell whether a sample can be a number of replicas of about now."""
    if sample is None or not -AHEAD <= now - sample.at <= OLDEST:
        return False
    return 0 <= sample.value <= MOST and sample.value == int(sample.value)


def held(before: TrustedCount | None, sample: Sample | None, now: float) -> TrustedCount | None:
    """Return the count that is believed after a sample; None where there never was a good one."""
    if sample is None or not believable(sample, now) or (before is not None and sample.at < before.at):
        return before
    count = int(sample.value)
    return TrustedCount(count if before is None else _step(before.count, count), min(sample.at, now))


def _step(before: int, wanted: int) -> int:
    """Return the next count on the way: at most twice as many or ten more, at least half as many."""
    return max(before // 2, min(wanted, max(2 * before, before + 10)))
