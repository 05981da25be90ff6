"""For which share of its requests a limit is enforced now: off, shadow, ramp, enforce. Pure.

            ┌────────(verdict)────────┐
    shadow ─┴─> ramp 5 % ... 100 % ───┴─> enforce

How far a model has come is read from its slot: nothing is stored, and a manager that starts goes on from there.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Mode = Literal["off", "shadow", "ramp", "enforce"]
STEP = 5  # per cent: a ramp has twenty steps
ROUNDING = 1e-6  # of a step: a float holds months of seconds to some nanoseconds only


@dataclass(frozen=True, slots=True)
class PromotionCriteria:
    """What shadow has to show before anything is enforced: at most this share (0 to 1) refused, over these seconds."""

    at_most: Fraction
    over: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What gateway pods have counted for a model in shadow or ramp: requests beyond the limit, all requests, over how
    many seconds."""

    refused: int = 0
    requests: int = 0
    over: float = 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Stage of a limit: enforced for so many per cent; whether it waits for its verdict; when it goes on by itself
    (seconds, None: not by the clock)."""

    enforced: int
    awaits: bool = False
    next_at: float | None = None

    @property
    def pinned(self) -> bool:
        """Whether it needs slots of its own."""
        return self.enforced < 100


def passes(verdict: PromotionCriteria, evidence: Evidence | None) -> bool:
    """Tell whether enough was counted, and little enough of it would have been refused."""
    if evidence is None or evidence.requests == 0 or evidence.over < verdict.over:
        return False
    return evidence.refused <= verdict.at_most * evidence.requests


def begun(live: int | None, over: float, now: float) -> float:
    """Return when a ramp began that has come as far as `live` per cent (None: it begins now)."""
    return now - over * max(0, (live or STEP) - STEP) / 100


def stage(mode: Mode, live: int | None, started: float, over: float, now: float) -> Stage:
    """Return the stage of a limit that is enforced for `live` per cent (None: it is in no slot).

    Its ramp of `over` seconds `started` then.
    """
    if mode == "shadow":
        return Stage(0)
    if mode == "enforce" or live == 100:
        return Stage(100)
    steps = 100 // STEP
    done = steps if over <= 0 else int((now - started) * steps / over + ROUNDING)
    share = min(100, STEP * (done + 1))
    return Stage(share, next_at=None if share == 100 else started + (done + 1) * over / steps)


def held_back(wanted: Stage, live: int | None, verdict: PromotionCriteria | None, evidence: Evidence | None) -> Stage:
    """Return the stage of a limit that has to show evidence first: one in shadow stays there until its verdict."""
    if verdict is None or live != 0 or wanted.enforced == 0 or passes(verdict, evidence):
        return wanted
    return Stage(0, awaits=True)
