"""The number of replicas to ask for, and why it is not another.

Up at once, down slowly: what goes is the least that the whole window behind would have borne, by at most a step, and
nothing goes while a replica warms up, a release is under way, or a signal is missing. A change has to be worth a part
of a replica (`SLACK`), so that noise around a whole number moves nothing.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ratelimiter.autoscale.forecast import forecast, span_of
from ratelimiter.autoscale.formula import Weighing, weigh
from ratelimiter.autoscale.signals import SignalReading, SignalTarget, term_of

SLACK, RELATIVE_SLACK = 0.5, 0.1
"""How much of a replica, and of all replicas, a change has to be worth; the lesser counts."""
UP_PERIOD = 15.0
LEAST_STEP_UP = 4
FRESH = 60.0
"""The seconds after which a reading says nothing any more."""
ROUNDING = 1e-9


class Hold(StrEnum):
    """Why there are more, or fewer, replicas than the signals ask for."""

    NO_SIGNAL = "NoSignal"
    SIGNAL_MISSING = "SignalMissing"
    WARMING = "Warming"
    RELEASING = "Releasing"
    WINDOW = "Window"
    STEP = "Step"
    AT_MOST = "AtMost"
    AT_LEAST = "AtLeast"
    QUOTA = "Quota"


@dataclass(frozen=True, slots=True)
class ScaleRules:
    """What a document says: bounds, signals, the seconds of the window on the way down, and the share of the replicas
    that may come (in 15 s, four at least) or go (in a window)."""

    least: int
    most: int
    signals: tuple[SignalTarget, ...]
    window: float = 300.0
    step_down: float = 0.5
    step_up: float = 1.0
    forecasts: bool = False


@dataclass(frozen=True, slots=True)
class ScaleObservation:
    """What is seen `at` a moment: how many replicas are asked for, and are warm; the readings by signal; whether a
    release is under way; how many more the quota bears (None: unknown); and how long a replica takes to be warm."""

    at: float
    replicas: int
    warm: int
    readings: Mapping[str, SignalReading]
    releasing: bool = False
    spare: int | None = None
    warm_up: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """An earlier look: its moment, what was needed, the whole replicas that would have been enough, and those asked
    for."""

    at: float
    need: float
    enough: int
    replicas: int


@dataclass(frozen=True, slots=True)
class ScaleMemory:
    """Since when this autoscaler looks (None: not yet), and what it has seen that still counts."""

    since: float | None = None
    looks: tuple[Look, ...] = ()


@dataclass(frozen=True, slots=True)
class ScaleDecision:
    """The replicas to ask for; what they come from; what is needed, and is needed when new replicas are warm (None
    without a signal); and what held the number where it is."""

    replicas: int
    weighing: Weighing
    need: float | None
    ahead: float | None
    holds: tuple[Hold, ...]


def decide(rules: ScaleRules, memory: ScaleMemory, seen: ScaleObservation) -> tuple[ScaleDecision, ScaleMemory]:
    """Return how many replicas to ask for, and what to remember."""
    weighing = weigh(
        [term_of(target, seen.readings.get(target.name), seen.warm, seen.at, FRESH) for target in rules.signals]
    )
    since = seen.at if memory.since is None else memory.since
    looks = tuple(_counting(rules, memory, seen))
    bars = tuple(_bars(weighing, seen))
    if weighing.ratio is None:
        replicas, holds = _bounded(rules, seen, seen.replicas, bars)
        return ScaleDecision(replicas, weighing, None, None, (*bars, *holds)), ScaleMemory(since, looks)
    need = weighing.ratio * max(seen.warm, 1)
    history = [*((look.at, look.need) for look in looks), (seen.at, need)]
    ahead = forecast(history, need, seen.at, seen.warm_up) if rules.forecasts else need
    after = ScaleMemory(since, (*looks, Look(seen.at, need, _enough(ahead, seen.replicas), seen.replicas)))
    required = math.ceil(ahead - _slack(seen.replicas) - ROUNDING)
    change = _raised if required > seen.replicas else _lowered
    wanted, reasons = change(rules, after, seen, required, bars)
    replicas, holds = _bounded(rules, seen, wanted, bars)
    return ScaleDecision(replicas, weighing, need, ahead, (*reasons, *holds)), after


def _slack(replicas: int) -> float:
    return min(SLACK, RELATIVE_SLACK * replicas)


def _enough(need: float, replicas: int) -> int:
    """Return how many replicas are enough with a part of one to spare; none where nothing is needed."""
    return math.ceil(need + _slack(replicas) - ROUNDING) if need > 0 else 0


def _counting(rules: ScaleRules, memory: ScaleMemory, seen: ScaleObservation) -> Iterator[Look]:
    """Yield the earlier looks that still count."""
    oldest = seen.at - max(rules.window, UP_PERIOD, span_of(seen.warm_up))
    return (look for look in memory.looks if oldest <= look.at < seen.at)


def _raised(
    rules: ScaleRules, memory: ScaleMemory, seen: ScaleObservation, required: int, _: tuple[Hold, ...]
) -> tuple[int, tuple[Hold, ...]]:
    """Return what is required, by at most a step over what was asked for a period ago."""
    base = min(look.replicas for look in memory.looks if look.at > seen.at - UP_PERIOD)
    highest = max(seen.replicas, base + max(LEAST_STEP_UP, math.ceil(base * rules.step_up)))
    return (highest, (Hold.STEP,)) if required > highest else (required, ())


def _lowered(
    rules: ScaleRules, memory: ScaleMemory, seen: ScaleObservation, required: int, bars: tuple[Hold, ...]
) -> tuple[int, tuple[Hold, ...]]:
    """Return what the window bears; the number there is, where none may go."""
    recent = [look for look in memory.looks if look.at >= seen.at - rules.window]
    if max(required, recent[-1].enough) >= seen.replicas:
        return seen.replicas, ()
    if bars:
        return seen.replicas, bars
    enough = max(required, *(look.enough for look in recent))
    if enough >= seen.replicas or memory.since is None or seen.at - memory.since < rules.window:
        return seen.replicas, (Hold.WINDOW,)
    most = max(look.replicas for look in recent)
    lowest = min(math.ceil(most * (1 - rules.step_down) - ROUNDING), most - 1)  # else the last one would never go
    return (min(lowest, seen.replicas), (Hold.STEP,)) if lowest > enough else (enough, ())


def _bars(weighing: Weighing, seen: ScaleObservation) -> Iterator[Hold]:
    """Yield what forbids that a replica goes."""
    if weighing.ratio is None:
        yield Hold.NO_SIGNAL
    elif weighing.missing:
        yield Hold.SIGNAL_MISSING
    if seen.warm < seen.replicas:
        yield Hold.WARMING
    if seen.releasing:
        yield Hold.RELEASING


def _bounded(
    rules: ScaleRules, seen: ScaleObservation, wanted: int, bars: tuple[Hold, ...]
) -> tuple[int, tuple[Hold, ...]]:
    """Return a number between the bounds, with no more new replicas than the quota bears. What there is above the
    highest stays while none may go."""
    holds: tuple[Hold, ...] = ()
    if wanted < rules.least:
        wanted, holds = rules.least, (Hold.AT_LEAST,)
    if wanted > rules.most:
        wanted, holds = max(rules.most, min(wanted, seen.replicas)) if bars else rules.most, (Hold.AT_MOST,)
    if seen.spare is not None and wanted > seen.replicas + max(0, seen.spare):
        wanted, holds = seen.replicas + max(0, seen.spare), (*holds, Hold.QUOTA)
    return wanted, holds
