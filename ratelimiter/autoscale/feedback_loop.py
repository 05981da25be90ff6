"""Demand moves replicas, warm replicas move the limit: the whole loop against a demand, second by second.

A replica that is asked for serves after its start and its warm-up. The limit is what the warm ones can serve; a raise
waits until they have been stable, as the manager's debounce does. What the autoscaler sees are means over some seconds
that arrive late, as a collector's rows do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ratelimiter.autoscale import horizontal_pod_autoscaler as hpa
from ratelimiter.autoscale.decision import ScaleMemory, ScaleObservation, ScaleRules, decide
from ratelimiter.autoscale.signals import SignalReading

WINDOW, DELAY = 10, 5
"""Seconds that a row of the statistics is about, and after which it arrives."""


@dataclass(frozen=True, slots=True)
class Plant:
    """What is scaled: requests/s of a warm replica, seconds from the wish to a started one and then to a warm one,
    seconds that a raise of the limit waits, the replicas at the beginning, and the CPU (share of what was asked for) of
    a replica that is full."""

    per_replica: float
    start: int = 5
    warm_up: int = 30
    raise_after: int = 5
    replicas: int = 2
    full_cpu: float = 0.9


@dataclass(frozen=True, slots=True)
class Second:
    """One second of the loop: requests that came and were admitted, replicas asked for and warm."""

    demand: float
    admitted: float
    replicas: int
    warm: int

    @property
    def limited(self) -> float:
        """Requests that were refused."""
        return self.demand - self.admitted


@dataclass(slots=True)
class Fleet:
    """The replicas, each by the second from which on it is warm, the newest last."""

    plant: Plant
    warm_from: list[int] = field(default_factory=list)

    def ask_for(self, count: int, at: int) -> None:
        """Let replicas come, or let the newest go."""
        ready = at + self.plant.start + self.plant.warm_up
        self.warm_from = [*self.warm_from, *[ready] * (count - len(self.warm_from))][:count]

    def warm(self, at: int) -> int:
        """Return how many serve."""
        return sum(ready <= at for ready in self.warm_from)


Autoscaler = Callable[[int, Fleet, Sequence[Second]], int]
"""Returns the replicas to ask for in a second, from the fleet and the seconds before."""


def run(
    plant: Plant, demand: Sequence[float], autoscaler: Autoscaler, period: int = int(hpa.SYNC_PERIOD)
) -> list[Second]:
    """Return every second of the loop; the autoscaler decides once in a `period`."""
    fleet, seconds = Fleet(plant), list[Second]()
    fleet.warm_from = [0] * plant.replicas
    limited_to = before = plant.replicas
    stable_since = 0
    for at, requests in enumerate(demand):
        warm = fleet.warm(at)
        stable_since, before = (stable_since if warm == before else at), warm
        if warm < limited_to or at - stable_since >= plant.raise_after:
            limited_to = warm
        admitted = min(requests, limited_to * plant.per_replica)
        seconds.append(Second(requests, admitted, len(fleet.warm_from), warm))
        if at % period == period - 1:
            fleet.ask_for(autoscaler(at, fleet, seconds), at)
    return seconds


def mean_of(seconds: Sequence[Second], at: int, value: Callable[[Second], float]) -> SignalReading | None:
    """Return the mean of the last row that has arrived at a second; None before the first."""
    end = (at - DELAY) // WINDOW * WINDOW
    row = seconds[end - WINDOW : end] if end >= WINDOW else ()
    return SignalReading(sum(value(second) for second in row) / WINDOW, end) if row else None


class TidegateAutoscaler:
    """The manager's own decision; `away` tells whether the statistics are missing in a second."""

    def __init__(self, rules: ScaleRules, plant: Plant, away: Callable[[int], bool] = lambda _: False) -> None:
        self._rules, self._plant, self._away = rules, plant, away
        self._memory = ScaleMemory()

    def __call__(self, at: int, fleet: Fleet, seconds: Sequence[Second]) -> int:
        """Return the replicas to ask for."""
        read = {} if self._away(at) else {"demand": mean_of(seconds, at, lambda second: second.demand)}
        plant, asked = self._plant, len(fleet.warm_from)
        seen = ScaleObservation(
            at=float(at),
            replicas=asked,
            warm=fleet.warm(at),
            readings={name: reading for name, reading in read.items() if reading},
            warm_up=plant.start + plant.warm_up,
        )
        decision, self._memory = decide(self._rules, self._memory, seen)
        return decision.replicas


class PlainHpa:
    """Kubernetes' own autoscaler on CPU, which sees what was admitted, or (`by_demand`) on the demand as a `Value`."""

    def __init__(
        self,
        rules: hpa.HpaRules,
        plant: Plant,
        target: float,
        by_demand: bool = False,
        away: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._rules, self._plant, self._target, self._by_demand, self._away = rules, plant, target, by_demand, away
        self._memory = hpa.HpaMemory()

    def __call__(self, at: int, fleet: Fleet, seconds: Sequence[Second]) -> int:
        """Return the replicas to set."""
        warm = max(1, fleet.warm(at))
        read = mean_of(seconds, at, lambda second: second.demand if self._by_demand else second.admitted)
        ratio = None
        if read is not None and not self._away(at):
            carried = read.value / warm / self._plant.per_replica
            used = carried if self._by_demand else carried * self._plant.full_cpu
            ratio = hpa.usage_ratio(used, self._target, warm)
        count, self._memory = hpa.desired(self._rules, self._memory, float(at), len(fleet.warm_from), ratio)
        return count
