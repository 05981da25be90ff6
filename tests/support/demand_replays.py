"""Demands of an hour that autoscalers are replayed against, and how close replicas stay to what they need."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ratelimiter.autoscale.decision import ScaleRules
from ratelimiter.autoscale.feedback_loop import Plant, Second, run
from ratelimiter.autoscale.fleet_autoscaler import PlainHpa, TidegateAutoscaler
from ratelimiter.autoscale.horizontal_pod_autoscaler import HpaRules
from ratelimiter.autoscale.replica_fleet import PERIOD
from ratelimiter.autoscale.request_rows import DELAY, ROW
from ratelimiter.autoscale.signals import SignalTarget

HOUR, PER_REPLICA, SHARE, LEAST, MOST = 3600, 20.0, 0.8, 2, 60
RULES = ScaleRules(
    LEAST, MOST, (SignalTarget("demand", "demand", PER_REPLICA * SHARE, guard=True),), window=300.0, step_down=1.0
)
SHAPES: Mapping[str, Callable[[int], float]] = {
    "constant": lambda _: 200,
    "steps": lambda t: 60 if t % 1800 < 900 else 400,
    "a ramp": lambda t: 40 + 600 * min(1, t / 2400),
    "a fast ramp": lambda t: 60 + 500 * min(1, max(0, (t - 900) / 300)),
    "a day": lambda t: 40 + 300 * (1 - math.cos(2 * math.pi * t / HOUR)),
    "waves": lambda t: 200 + 150 * math.sin(2 * math.pi * t / 1800),
    "bursts": lambda t: 100 if t % 600 < 540 else 500,
    "a way down": lambda t: 600 - 500 * min(1, t / 2400),
}
WARM_UPS = (5, 30, 120, 600)


@dataclass(frozen=True, slots=True)
class Replay:
    """One demand, requests/s in each second; the plant under it; and from when to when the statistics are away."""

    name: str
    demand: tuple[float, ...]
    plant: Plant
    away: range = range(0)

    def by_tidegate(self, forecasts: bool = False) -> list[Second]:
        """Return the loop with the manager's decision."""
        rules = replace(RULES, forecasts=forecasts)
        return run(self.plant, self.demand, TidegateAutoscaler(rules, self.plant.lasts), self.away)

    def by_hpa(self, by_demand: bool) -> list[Second]:
        """Return the loop with a plain HPA, on demand or on CPU."""
        rules, plant = HpaRules(LEAST, MOST), self.plant
        target = SHARE if by_demand else SHARE * plant.full_cpu
        autoscaler = PlainHpa(rules, plant.per_replica, target, plant.full_cpu, by_demand)
        return run(plant, self.demand, autoscaler, self.away)

    def tracked(self, seconds: Sequence[Second]) -> float:
        """Return the share of the time in which the warm replicas are within one of what the demand needs.

        What was needed within the time in which a change arrives (rows, the autoscaler's period, start and warm-up) is
        as good as what is needed now, and on the way down what the window behind needed.
        """
        needs = [needed(self.demand[max(0, at - ROW + 1) : at + 1]) for at in range(len(self.demand))]
        lag = ROW + DELAY + PERIOD + self.plant.lasts + self.plant.raise_after
        back = lag + int(RULES.window + PERIOD)
        good = 0
        for at, second in enumerate(seconds):
            lowest, highest = min(needs[max(0, at - lag) : at + 1]), max(needs[max(0, at - back) : at + 1])
            good += lowest - 1 <= second.warm <= highest + 1
        return good / len(seconds)


def needed(demand: Sequence[float]) -> int:
    """Return the replicas that the mean of a demand needs."""
    return min(MOST, max(LEAST, math.ceil(sum(demand) / len(demand) / (PER_REPLICA * SHARE))))


def refused(seconds: Sequence[Second]) -> float:
    """Return the share of requests that were refused."""
    return sum(second.limited for second in seconds) / sum(second.demand for second in seconds)


def swing(seconds: Sequence[Second], window: int = int(RULES.window)) -> int:
    """Return by how many replicas any window swings, the first left out, in which the number is found."""
    asked = [second.replicas for second in seconds[window:]]
    return max(max(asked[at : at + window]) - min(asked[at : at + window]) for at in range(len(asked) - window))


def replays() -> list[Replay]:
    """Return all: every shape, even and noisy in turn, with every warm-up, and three with gaps in the statistics."""
    found = []
    for number, (name, shape) in enumerate(SHAPES.items()):
        for turn, warm_up in enumerate(WARM_UPS):
            noisy = (number + turn) % 2 == 0 or name == "constant"
            found.append(_replay(f"{name}{', noisy' if noisy else ''}", shape, warm_up, noisy))
    found += [
        _replay(f"{name}, statistics away", SHAPES[name], 30, True, range(1500, 1500 + gap))
        for name, gap in (("constant", 60), ("a ramp", 45), ("a day", 120))
    ]
    return found


def _replay(name: str, shape: Callable[[int], float], warm_up: int, noisy: bool, away: range = range(0)) -> Replay:
    noise = random.Random(name)
    means = [shape(at) for at in range(HOUR)]
    demand = [max(0.0, noise.gauss(mean, math.sqrt(mean))) for mean in means] if noisy else means
    plant = Plant(PER_REPLICA, warm_up=warm_up, replicas=needed(means[:1]))
    return Replay(f"{name}, warm after {warm_up} s", tuple(demand), plant, away)
