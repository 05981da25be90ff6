"""How sure requests make of a share or a quantile, however often it is looked at. Pure.

A release looks at its statistics every few seconds and stops when they please it: an interval made for one look would
be wrong far more often than it says. These hold at all looks together. `evidence` is the logarithm of a test
martingale, the ratio of a Beta mixture to the binomial likelihood, whose chance of ever exceeding log(1/error) is at
most `error` where the share is the true one (Ville's inequality; Robbins, Ann. Math. Statist. 1970; Howard, Ramdas,
McAuliffe and Sekhon, Ann. Statist. 2021). A quantile is bounded by the ranks whose binomial count is still likely
(Howard and Ramdas, Bernoulli 2022). Two shares are compared by the count of one among the hits of both, which is
binomial (Przyborowski and Wilenski, Biometrika 1940).
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate
from math import inf, lgamma, log

from collectors.access_log.latency import middle_of, quantile

STRENGTH = 1.0
"""The variance, in hits, of the mixture: bounds are narrow at some dozens of hits, and seven failures of seven requests
still are evidence enough against a share of 1 %, at an error of 0.1 %."""
MICROSECOND = 1e-6


def evidence(hits: int, trials: int, share: float) -> float:
    """Return the logarithm of how much `hits` of `trials` speak against a share (0 to 1) as the true one."""
    if not 0 < share < 1:
        return inf if hits not in (0, trials) or hits != round(share * trials) else 0.0
    weight = STRENGTH / (share * (1 - share))
    first, second = weight * share, weight * (1 - share)
    mixed = _log_beta(first + hits, second + trials - hits) - _log_beta(first, second)
    return mixed - hits * log(share) - (trials - hits) * log(1 - share)


def is_above(hits: int, trials: int, share: float, error: float) -> bool:
    """Whether the true share is above another, but for a chance of `error` (over all looks)."""
    return hits > share * trials and evidence(hits, trials, share) >= -log(error)


def is_below(hits: int, trials: int, share: float, error: float) -> bool:
    """Whether the true share is below another, but for a chance of `error` (over all looks)."""
    return hits < share * trials and evidence(hits, trials, share) >= -log(error)


def expected_share(times: float, requests: int, others: int) -> float:
    """Return which part of all hits falls on `requests`, where each is so many times as likely one as each of the
    `others`; 1 where there are no others."""
    return times * requests / (times * requests + others) if others else 1.0


def quantile_bounds(latency: Mapping[int, int], share: float, error: float) -> tuple[float, float]:
    """Return seconds between which the true quantile lies, but for a chance of `error` on each side (over all looks):
    0 and infinity where there are too few requests to say."""
    total = sum(latency.values())
    low = _highest_count_below(total, share, error)
    high = total - _highest_count_below(total, 1 - share, error)
    buckets = sorted(latency)
    sums = list(accumulate(latency[bucket] for bucket in buckets))
    lower = next((middle_of(b) for b, s in zip(buckets, sums, strict=True) if s > low), 0.0) if low >= 0 else 0.0
    upper = next((middle_of(b) for b, s in zip(buckets, sums, strict=True) if s >= high), inf)
    return lower * MICROSECOND, upper * MICROSECOND


def seconds(latency: Mapping[int, int], share: float) -> float | None:
    """Return a quantile in seconds; None where there are no requests."""
    found = quantile(latency, share)
    return None if found is None else found * MICROSECOND


@lru_cache(maxsize=4096)
def _highest_count_below(total: int, share: float, error: float) -> int:
    """Return the highest count that is too low for a share of the total; -1 where none is."""
    low, high = -1, int(share * total)
    while low < high:
        middle = (low + high + 1) // 2
        if is_below(middle, total, share, error):
            low = middle
        else:
            high = middle - 1
    return low


def _log_beta(first: float, second: float) -> float:
    return lgamma(first) + lgamma(second) - lgamma(first + second)
