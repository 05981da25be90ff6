"""Latency in buckets of logarithmic width: sums of buckets are buckets, so that every roll-up is exact.

Bucket b holds durations d (microseconds, at least 1) with GAMMA^(b-1) < d <= GAMMA^b. A quantile is given as the middle
of its bucket, at most 2 % away from any duration in it (Masson et al., DDSketch, VLDB 2019).
"""

from collections.abc import Iterable, Mapping
from math import ceil, log

GAMMA = 1.04
LOG_GAMMA = log(GAMMA)
_MIDDLE = 2 / (1 + GAMMA)


def bucket_of(duration: int) -> int:
    """Return the bucket of a duration in microseconds."""
    return ceil(log(duration) / LOG_GAMMA) if duration > 1 else 0


def middle_of(bucket: int) -> float:
    """Return the duration that stands for a bucket, in microseconds."""
    return float(GAMMA**bucket * _MIDDLE) if bucket > 0 else 1.0


def merged(parts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Return the sum of buckets."""
    out: dict[int, int] = {}
    for part in parts:
        for bucket, count in part.items():
            out[bucket] = out.get(bucket, 0) + count
    return out


def quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """Return the duration, in microseconds, that a share of requests do not exceed; None where there are none."""
    total = sum(buckets.values())
    rank = max(1, ceil(share * total))
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= rank:
            return middle_of(bucket)
    return None
