"""How one limit is divided over the gateway pods that enforce it.

Each gateway pod has a bucket of its own and knows nothing of the others, so each of G pods gets one G-th.
Envoy refills continuously: a rate is written as tokens per whole seconds, and nothing is rounded. Where the
seconds would be more than a million, or the tokens more than 32 bits, the share is rounded down, never up.
"""

from fractions import Fraction
from math import ceil, floor

from istio_templates.facts import Bucket

SMALLEST_BURST = 2  # a bucket of one token loses about 2 % of its rate under pressure (measured on Envoy 1.40)
LARGEST = 2**32 - 1  # what Envoy takes for tokens
LONGEST_INTERVAL = 1_000_000  # seconds; only a unit to Envoy, which refills all the time


def share(total: Fraction, gateways: int, burst: Fraction) -> Bucket:
    """Return the bucket of one of `gateways` pods so that together they admit `total` requests a second.

    `burst` is in seconds of the pod's own rate: how much of it may arrive at once.

    Raises `ValueError` for a total or a number of pods that is not positive: a closed model is a decision of
    the caller and is not expressed by a bucket.
    """
    if total <= 0 or gateways <= 0:
        raise ValueError(f"cannot share {total} requests/s over {gateways} gateway pods")
    rate = _representable(total / gateways)
    return Bucket(rate.numerator, rate.denominator, min(LARGEST, max(SMALLEST_BURST, floor(rate * burst))))


def _representable(rate: Fraction) -> Fraction:
    longest = min(LONGEST_INTERVAL, LARGEST // max(1, ceil(rate)))
    if rate.denominator <= longest:
        return rate
    near = rate.limit_denominator(longest)
    return near if 0 < near <= rate else Fraction(max(1, floor(rate * longest)), longest)
