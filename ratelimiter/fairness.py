"""Whether the load is even over the gateway pods. Pure.

Every pod has an equal share of each limit. Where clients keep a few long connections, one pod refuses what another
would have admitted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

FEWEST = 100  # requests at a gateway in the window, below which nothing is reported
REFUSING = 0.01  # share of a pod's requests
IDLE = 0.5  # of the busiest pod
Balance = Literal["Even", "Skewed", "Uneven", "Few", "Single", "NotRead"]


@dataclass(frozen=True, slots=True)
class PodLoad:
    """What came to one gateway pod in some time, and how much of it was refused."""

    requests: int
    refused: int


@dataclass(frozen=True, slots=True)
class Uneven:
    """A pod that refuses while another idles, with what share of the gateway's requests each gets."""

    refusing: str
    refused: int
    its_share: float
    idle: str
    idle_share: float


def summed(loads: Iterable[PodLoad]) -> PodLoad:
    """Return what came to a pod over several readings."""
    requests, refused = 0, 0
    for load in loads:
        requests, refused = requests + load.requests, refused + load.refused
    return PodLoad(requests, refused)


def uneven(loads: Mapping[str, PodLoad]) -> Uneven | None:
    """Return the busiest and the idlest pod; None where the load is even, or no request is refused."""
    whole = sum(load.requests for load in loads.values())
    if len(loads) < 2 or whole < FEWEST:
        return None
    busiest = max(sorted(loads), key=lambda pod: loads[pod].requests)
    idlest = min(sorted(loads), key=lambda pod: loads[pod].requests)
    busy, idle = loads[busiest], loads[idlest]
    refusing = busy.refused >= REFUSING * busy.requests and busy.refused > 0
    if not refusing or idle.refused > REFUSING * idle.requests or idle.requests > IDLE * busy.requests:
        return None
    return Uneven(busiest, busy.refused, busy.requests / whole, idlest, idle.requests / whole)


def balance(loads: Mapping[str, PodLoad]) -> Balance:
    """Return how the load is spread over the pods of a gateway: `Uneven` if one refuses while another idles, `Skewed`
    if it idles and nothing is refused yet; `Few` requests, or a `Single` pod, say nothing."""
    if len(loads) < 2:
        return "Single" if loads else "NotRead"
    if sum(load.requests for load in loads.values()) < FEWEST:
        return "Few"
    if uneven(loads):
        return "Uneven"
    requests = [load.requests for load in loads.values()]
    return "Skewed" if min(requests) <= IDLE * max(requests) else "Even"


def full_at(loads: Mapping[str, PodLoad]) -> float | None:
    """Return which part of a limit comes to the gateway when the busiest pod has all of its share: 1 where the load is
    even, 1/n where one of n pods gets all. None where too few requests came to tell."""
    if balance(loads) in ("Few", "Single", "NotRead"):
        return None
    requests = [load.requests for load in loads.values()]
    return sum(requests) / (len(requests) * max(requests))
