"""How many requests per second a model's ready replicas can serve, as an exact fraction.

A version that gets half of the traffic and can serve 40/s lets the model take 80/s. The version that fills
up first decides: `capacity = min over versions with traffic of (replicas x per-replica rate / share)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class VersionLoad:
    """One version: its ready replicas, the requests/s each can serve, its share of traffic (0 to 1), and whether it has
    a limit of its own, which then bounds it alone.

    `older` are those of the replicas that run an earlier pod template: how many, and the figure that was declared for
    them.
    """

    name: str
    replicas: int
    per_replica: Fraction
    share: Fraction
    own: bool = False
    older: tuple[tuple[int, Fraction], ...] = ()

    @property
    def served(self) -> Fraction:
        """Requests/s that the replicas serve together."""
        new = self.replicas - sum(count for count, _ in self.older)
        return new * self.per_replica + sum((count * figure for count, figure in self.older), Fraction(0))


@dataclass(frozen=True, slots=True)
class LimitBounds:
    """Between which the limit stays, in requests/s; no `ceiling` means none."""

    floor: Fraction
    ceiling: Fraction | None = None


def capacity(versions: Sequence[VersionLoad]) -> Fraction:
    """Return the requests/s that all versions together can serve at their shares of traffic.

    A version with a limit of its own bounds no other; where all have one, the model takes what they take together.
    """
    loads = [load for load in versions if load.share > 0]
    if shared := [load.served / load.share for load in loads if not load.own]:
        return min(shared)
    return sum((load.served for load in loads), Fraction(0))


def clamp(value: Fraction, bounds: LimitBounds) -> Fraction:
    """Return `value` between floor and ceiling."""
    bounded = max(value, bounds.floor)
    return bounded if bounds.ceiling is None else min(bounded, bounds.ceiling)
