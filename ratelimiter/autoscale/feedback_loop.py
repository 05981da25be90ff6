"""Demand moves replicas, warm replicas move the limit: the whole loop against a demand, second by second.

The limit is what the warm replicas can serve; a raise waits until they have been stable, as the manager's debounce
does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ratelimiter.autoscale.fleet_autoscaler import FleetAutoscaler
from ratelimiter.autoscale.replica_fleet import PERIOD, ReplicaFleet


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

    @property
    def lasts(self) -> int:
        """Seconds from the wish to a warm replica."""
        return self.start + self.warm_up


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


def run(plant: Plant, demand: Sequence[float], autoscaler: FleetAutoscaler, away: range = range(0)) -> list[Second]:
    """Return every second of the loop; the statistics are `away` in some of them."""
    fleet, seconds = ReplicaFleet(autoscaler, plant.replicas, plant.lasts), list[Second]()
    limited_to = before = plant.replicas
    stable_since = 0
    for at, requests in enumerate(demand):
        warm = fleet.warm(at)
        stable_since, before = (stable_since if warm == before else at), warm
        if warm < limited_to or at - stable_since >= plant.raise_after:
            limited_to = warm
        admitted = min(requests, limited_to * plant.per_replica)
        fleet.rows.count(at, requests, admitted)
        seconds.append(Second(requests, admitted, fleet.asked, warm))
        if at % PERIOD == PERIOD - 1:
            fleet.look(at, sees_rows=at not in away)
    return seconds
