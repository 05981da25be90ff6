"""Which rate to try next when one replica is measured, and what its curve says. Pure.

The rate grows by half until the replica breaks: its latency is beyond the target, a request fails, or it no longer
answers as fast as requests come. Between the last rate that held and the first that did not it is halved a few times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

GROWTH = 1.5
HALVINGS = 3
KEPT_UP = 0.95  # of the rate: below it requests queue up
HEADROOM = 0.9  # of the highest rate that held: what is proposed


@dataclass(frozen=True, slots=True)
class Step:
    """One rate: what was offered and answered in requests/s, the latency's quantile in seconds (None: no answer), how
    many requests failed, and why the replica broke at it, if it did."""

    offered: float
    answered: float
    latency: float | None
    failed: int
    broke: str = ""


def rated(offered: float, answered: float, latency: float | None, failed: int, target: float, said: str = "") -> Step:
    """Return a step with what speaks against it."""
    broke = ""
    if failed:
        broke = f"{failed} requests failed: {said}"
    elif latency is None or latency > target:
        broke = f"{'no answer' if latency is None else f'{latency * 1000:.1f} ms'}, beyond {target * 1000:g} ms"
    elif answered < KEPT_UP * offered:
        broke = f"it answers {answered:.3g}/s only"
    return Step(offered, answered, latency, failed, broke)


def next_rate(steps: Sequence[Step], first: float, most: float) -> float | None:
    """Return the rate to try after `steps`; None where the curve is known. It never exceeds `most`."""
    if not steps:
        return min(first, most)
    held = max((step.offered for step in steps if not step.broke), default=0.0)
    broken = [step.offered for step in steps if step.broke]
    if not broken:
        return None if held >= most else min(held * GROWTH, most)
    first_broken = next(number for number, step in enumerate(steps) if step.broke)
    if len(steps) - first_broken > HALVINGS:
        return None
    return (held + min(broken)) / 2 if held else min(broken) / 4


def proposal(steps: Sequence[Step]) -> float | None:
    """Return the `perReplicaQps` to declare, with headroom and two digits; None where no rate held."""
    held = max((step.offered for step in steps if not step.broke), default=0.0)
    return _two_digits(held * HEADROOM) if held else None


def _two_digits(value: float) -> float:
    unit = 10.0 ** (floor(log10(value)) - 1)
    return round(floor(value / unit + 1e-9) * unit, 6)
