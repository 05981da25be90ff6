"""Releases that decisions are replayed against: 200 generated ones, with noise, bursts, gaps and little traffic.

The stable version is always within the bounds that the peer has (99 % success, 500 ms), so that these can be its own.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from collectors.access_log.latency import bucket_of, middle_of
from k8s_manager.release.decision.observation import VersionStatistics

LOOK, DAY = 60, 86_400
"""Seconds between looks, and the longest that a release is followed."""
KINDS = ("better", "equal", "5xx", "slow", "slow under load")
PARTS = {"better": 30, "equal": 50, "5xx": 40, "slow": 40, "slow under load": 40}
GOOD = ("better", "equal")
SIGMA, TAIL, END = 0.5, 0.8, 0.99995
"""The spread of the logarithm of the latency; the tail that is drawn bucket by bucket, the rest stands in one."""
NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class ReleaseTrace:
    """A generated release: the model's requests/s at its middle, how far days swing it (0 to 1), its share of errors
    and p99 (seconds) on the stable version, how many times that the new one has, from which weight on its latency has
    it, and from when to when there are no statistics."""

    name: str
    kind: str
    rate: float
    swing: float
    errors: float
    slowest: float
    times_errors: float = 1.0
    times_latency: float = 1.0
    from_weight: int = 0
    gaps: tuple[range, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether the new version must not be promoted."""
        return self.kind not in GOOD

    def has_statistics(self, at: float) -> bool:
        """Whether there are statistics of a moment (seconds since the beginning)."""
        return not any(gap.start <= at < gap.stop for gap in self.gaps)


@dataclass(frozen=True, slots=True)
class Minute:
    """The requests of both versions between two looks."""

    stable: VersionStatistics
    new: VersionStatistics


class Traffic:
    """Requests of a trace, minute by minute; what chance brings is the same for the same seed and weights."""

    def __init__(self, trace: ReleaseTrace, seed: str) -> None:
        self._trace, self._random = trace, random.Random(seed)
        self._start = self._random.uniform(0, DAY)

    def minute(self, at: float, weight: int) -> Minute:
        """Return the requests of the minute up to a moment, of which the new version has a share (per cent)."""
        trace, chance = self._trace, self._random
        daily = 1 + trace.swing * math.sin(2 * math.pi * (self._start + at) / DAY)
        requests = trace.rate * LOOK * daily * chance.lognormvariate(0, 0.1)
        burst = chance.random() < 0.02
        errors = trace.errors * chance.lognormvariate(0, 0.3) * (5 if burst else 1)
        slowest = trace.slowest * chance.lognormvariate(0, 0.05) * (1.3 if burst else 1)
        times = trace.times_latency if weight >= trace.from_weight else 1.0
        return Minute(
            self._statistics(requests * (1 - weight / 100), errors, slowest),
            self._statistics(requests * weight / 100, errors * trace.times_errors, slowest * times),
        )

    def _statistics(self, mean: float, errors: float, slowest: float) -> VersionStatistics:
        requests = self._count(mean)
        failed = min(requests, self._count(requests * errors * self._random.lognormvariate(0, 0.1)))
        latency = {bucket: self._count(requests * part) for bucket, part in tail(round(math.log(slowest), 2))}
        rest = max(0, requests - sum(latency.values()))
        body = bucket_of(int(1e6 * slowest * math.exp(-SIGMA * NORMAL.inv_cdf(0.99))))
        return VersionStatistics(requests, {"5xx": failed}, {**latency, body: rest + latency.get(body, 0)})

    def _count(self, mean: float) -> int:
        """Return a Poisson number; a normal one stands for it where the mean is high."""
        if mean > 50:
            return max(0, round(self._random.gauss(mean, math.sqrt(mean))))
        number, chance, left = 0, math.exp(-mean), self._random.random()
        while left > chance and number < 200:
            left -= chance
            number += 1
            chance *= mean / number
        return number


@lru_cache(maxsize=10_000)
def tail(log_slowest: float) -> tuple[tuple[int, float], ...]:
    """Return the buckets of the slower part of requests with the share of each, for a logarithm of the p99."""
    middle = log_slowest - SIGMA * NORMAL.inv_cdf(0.99)
    first, last = (bucket_of(int(1e6 * math.exp(middle + SIGMA * NORMAL.inv_cdf(share)))) for share in (TAIL, END))
    edges = [(math.log(1.04**bucket / 1e6) - middle) / SIGMA for bucket in range(first - 1, last + 1)]
    shares = [NORMAL.cdf(edge) for edge in edges]
    return tuple((first + turn, shares[turn + 1] - shares[turn]) for turn in range(last - first + 1))


def traces() -> list[ReleaseTrace]:
    """Return all 200, the kinds one after another."""
    return [_trace(kind, number) for kind in KINDS for number in range(PARTS[kind])]


def _trace(kind: str, number: int) -> ReleaseTrace:
    chance = random.Random(f"{kind} {number}")
    times = {"better": chance.uniform(0.3, 0.9), "5xx": chance.uniform(2, 5) if number else 2.0}
    slower = {
        "better": chance.uniform(0.5, 0.9),
        "slow": chance.uniform(1.5, 3) if number else 1.5,
        "slow under load": chance.uniform(1.5, 3) if number else 1.5,
    }
    return ReleaseTrace(
        f"{kind} {number}",
        kind,
        rate=math.exp(chance.uniform(math.log(0.5), math.log(300))),
        swing=chance.uniform(0, 0.7),
        errors=math.exp(chance.uniform(math.log(0.0005), math.log(0.009))),
        slowest=math.exp(chance.uniform(math.log(0.04), math.log(0.45))),
        times_errors=times.get(kind, 1.0),
        times_latency=slower.get(kind, 1.0),
        from_weight=chance.choice((25, 50)) if kind == "slow under load" else 0,
        gaps=tuple(_gaps(chance)),
    )


def _gaps(chance: random.Random) -> Iterator[range]:
    for _ in range(chance.choice((0, 0, 1, 2, 3))):
        start = chance.randrange(0, 4 * 3600)
        yield range(start, start + chance.randrange(300, 1800))


def merged(parts: list[VersionStatistics]) -> VersionStatistics:
    """Return the sum of statistics."""
    latency: dict[int, int] = {}
    for part in parts:
        for bucket, count in part.latency.items():
            latency[bucket] = latency.get(bucket, 0) + count
    failed = sum(part.outcomes.get("5xx", 0) for part in parts)
    return VersionStatistics(sum(part.requests for part in parts), {"5xx": failed}, latency)


def p99(statistics: VersionStatistics) -> float:
    """Return the p99 in seconds; of no requests 0."""
    left = statistics.requests * 0.01
    for bucket in sorted(statistics.latency, reverse=True):
        left -= statistics.latency[bucket]
        if left < 0:
            return middle_of(bucket) / 1e6
    return 0.0
