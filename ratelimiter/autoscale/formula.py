"""One ratio from many signals: their weighted mean, and never less than the highest guard.

    r_i = current_i / target_i                      clipped, see `signals`
    S   = sum w_i r_i / sum w_i                     over the weighted signals that are there
    G   = max r_i                                   over the guards that are there
    R   = max(S, G)

A saturated resource is not averaged away: CPU at 143 % of its target with an idle GPU would give a mean below one, and
take replicas away. The guard holds on the way down too. A mean of 0.5 beside a guard of 0.9 would halve the replicas,
put the guard at 1.8, and bring them back a moment later.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ratelimiter.autoscale.signals import SignalTerm


@dataclass(frozen=True, slots=True)
class Weighing:
    """The terms, their weighted mean, the highest guard and the ratio; None where no signal is there."""

    terms: tuple[SignalTerm, ...]
    mean: float | None
    guard: float | None
    ratio: float | None

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the signals that say nothing."""
        return tuple(term.target.name for term in self.terms if term.ratio is None)


def weigh(terms: Sequence[SignalTerm]) -> Weighing:
    """Return the ratio of these terms."""
    there = [(term, term.ratio) for term in terms if term.ratio is not None]
    weight = sum(term.target.weight for term, _ in there)
    mean = sum(term.target.weight * ratio for term, ratio in there) / weight if weight > 0 else None
    guard = max((ratio for term, ratio in there if term.target.guard), default=None)
    return Weighing(tuple(terms), mean, guard, _highest((mean, guard)))


def _highest(found: Iterable[float | None]) -> float | None:
    return max((value for value in found if value is not None), default=None)
