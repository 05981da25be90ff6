"""What the external metric says, so that Kubernetes' HPA arrives at the number of replicas that was decided. Pure.

    usageRatio = value / (target x status.replicas)       none changes where it is within 0.1 of one
    desired    = ceil(value / target)                     else, between minReplicas and maxReplicas; the target is 1

A change of one is within that tolerance from ten replicas on. No value leads exactly there: the ratio and the result
are the same figure. So on the way up the metric says the least number beyond the tolerance, which is at most a tenth
too many, and on the way down the HPA keeps what it has until a tenth may go. At its bounds it is exact: what the metric
says beyond them is cut off there.
"""

PARTS, TENTH = 10, 1
"""The tolerance of `ratelimiter.autoscale.horizontal_pod_autoscaler`, in whole numbers: one part of ten."""


def metric_value(decided: int, current: int, least: int, is_exact: bool = False) -> int:
    """Return the sum to serve for `decided` replicas where an HPA counts `current` ones and keeps `least` in any case.

    `is_exact`: no more than decided may come, as where a quota bears no more; the HPA then lags behind by a tenth.
    """
    if not _is_tolerated(decided, current):
        return decided
    if decided > current:
        return decided if is_exact else _above(current)
    return _below(current) if decided == least else decided


def _is_tolerated(decided: int, current: int) -> bool:
    """Tell whether an HPA that counts `current` replicas does not act on a number, though it is another one."""
    return decided != current and abs(decided - current) * PARTS <= current * TENTH


def _above(current: int) -> int:
    """Return the least number beyond the tolerance."""
    return current * (PARTS + TENTH) // PARTS + 1


def _below(current: int) -> int:
    """Return the greatest number below the tolerance; the HPA's minReplicas holds what is to stay."""
    return (current * (PARTS - TENTH) - 1) // PARTS
