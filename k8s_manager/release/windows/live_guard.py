"""Whether a release may begin or take its next step now: its window, freezes, and the live load against the forecast.

A rate may exceed the median by the factor of the rules. It may also reach the 90th percentile of the weeks, which of a
few requests lies further off, and a small share of the peak, since at night the median of a small model is zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from k8s_manager.release.windows.window_decision import ForecastFigures, WindowDecision
from k8s_manager.release.windows.window_rules import Freeze, WindowRules, freeze_at
from k8s_manager.release.windows.window_text import moment_text

HARMLESS = 0.02
"""A rate of at most this share of the weekly peak stops nothing."""


@dataclass(frozen=True, slots=True)
class LiveLoad:
    """The rate of the last five minutes at a moment (aware), in requests/s; None where statistics are missing."""

    at: datetime
    rate: float | None


def may_progress(
    rules: WindowRules, window: WindowDecision, freezes: Sequence[Freeze], seen: LiveLoad
) -> tuple[bool, str]:
    """Tell whether a release may begin, or take its next step, in its window; and why, as a sentence."""
    if window.start is None or window.end is None:
        return False, window.sentence
    if freeze := freeze_at(freezes, seen.at):
        return False, f"Freeze {freeze.name} is in force; the release waits until it ends."
    if seen.at < window.start:
        return False, f"The window begins on {moment_text(window.start, rules.zone)} ({rules.zone}); wait for it."
    if seen.at >= window.end:
        return (
            False,
            f"The window has ended on {moment_text(window.end, rules.zone)} ({rules.zone}); take the next one.",
        )
    if window.figures is None:
        return True, "The window is open; it was chosen without the load."
    return _compared(rules, window.figures, seen)


def _compared(rules: WindowRules, figures: ForecastFigures, seen: LiveLoad) -> tuple[bool, str]:
    rate = seen.rate
    if rate is None or not math.isfinite(rate) or rate < 0:
        return False, "The statistics of the last five minutes are missing; the release waits for them."
    usual, high = figures.expected(seen.at)
    most = max(rules.excess * usual, high, HARMLESS * figures.peak)
    if figures.most is not None and rate > figures.most:
        return False, (
            f"{rate:.4g} requests/s are above {rules.peak_share:.0%} of the weekly peak, {figures.most:.4g}; "
            "no step begins while that lasts."
        )
    if rate > most:
        return False, (
            f"{rate:.4g} requests/s are more than the {most:.4g} that the forecast of {usual:.4g} allows; "
            "no step begins while that lasts."
        )
    return True, f"{rate:.4g} requests/s are within the {most:.4g} that the forecast of {usual:.4g} allows."
