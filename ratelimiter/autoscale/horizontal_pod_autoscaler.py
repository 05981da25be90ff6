"""Kubernetes' own algorithm, as its documentation and `replica_calculator.go` have it: what ours is compared with, and
what applies ours.

    desired = ceil(current x value / target), none where the ratio is within the tolerance
    down: the highest recommendation of the window behind; up: at most the greater of 4 and 100 % in 15 s
"""

import math
from dataclasses import dataclass

TOLERANCE = 0.1
SYNC_PERIOD = 15.0
PODS, PERCENT, PERIOD = 4, 1.0, 15.0


@dataclass(frozen=True, slots=True)
class HpaRules:
    """The bounds, the seconds of stabilization on the way down, and the tolerance. `is_gradual`: without a `behavior`,
    which else lets any number come at once, as that of the HPA that Tidegate renders does."""

    least: int
    most: int
    window: float = 300.0
    tolerance: float = TOLERANCE
    is_gradual: bool = True


@dataclass(frozen=True, slots=True)
class HpaMemory:
    """Moments with recommendations, and moments with the replicas there were."""

    recommended: tuple[tuple[float, int], ...] = ()
    replicas: tuple[tuple[float, int], ...] = ()


def usage_ratio(value: float, target: float, ready: int) -> tuple[float, int]:
    """Return the ratio of a mean over the ready pods (`Resource`, or `Value`), and what it is a ratio of."""
    return value / target, ready


def average_ratio(value: float, target: float, replicas: int) -> tuple[float, int]:
    """Return the ratio of a sum over all replicas (`AverageValue`), and what it is a ratio of."""
    return value / (target * max(replicas, 1)), max(replicas, 1)


def desired(
    rules: HpaRules, memory: HpaMemory, now: float, replicas: int, ratio: tuple[float, int] | None
) -> tuple[int, HpaMemory]:
    """Return the replicas that the HPA sets at `now`, and what it remembers; without a metric (None) none changes."""
    wish = replicas
    if ratio is not None and abs(ratio[0] - 1) > rules.tolerance:
        wish = math.ceil(ratio[0] * ratio[1] - 1e-9)
    recommended = (*(found for found in memory.recommended if found[0] > now - rules.window), (now, wish))
    asked = (*(found for found in memory.replicas if found[0] > now - PERIOD), (now, replicas))
    if wish < replicas:
        wish = min(replicas, max(found for _, found in recommended))
    base = min(found for _, found in asked)
    if rules.is_gradual:
        wish = min(wish, max(replicas, base + max(PODS, math.ceil(base * PERCENT))))
    return max(rules.least, min(rules.most, wish)), HpaMemory(recommended, asked)
