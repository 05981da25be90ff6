"""Strategy `periodicBest`: at each moment of a cron, the version with the best weighted score.

A score is the sum of gains over the served version, in accuracy, 99th percentile of latency, cost and share of errors,
by their weights. A gain is the difference over the larger of the two values, so it lies between -2 and 2, needs no
range of all versions (a bad version that is registered moves no other), and of two versions one gains what the other
loses. What is unknown of one of them counts as equal; only accuracy has to be known, from within the look-back.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from k8s_manager.release.selection.candidates import SelectionView, lack_of_evaluation, no_candidate
from k8s_manager.release.selection.selection_decision import Choice, NoChangeReason, NoChoice, SelectionEvidence
from k8s_manager.release.selection.selection_rules import Direction, PeriodicBest
from k8s_manager.release.selection.version_facts import Evaluation, ModelVersionFact, rank_of_age
from k8s_manager.release.windows.cron_window import last_moment

_FARTHEST = timedelta(days=366)


def choose_periodic_best(strategy: PeriodicBest, view: SelectionView) -> Choice | NoChoice:
    """Return the version with the best score at the last moment of the cron, unless the served one came later."""
    due = last_moment(strategy.cron, strategy.zone, view.now, _FARTHEST)
    since = view.served.since
    if due is None or (since is not None and since >= due):
        sentence = f"{strategy.cron} ({strategy.zone}) has not come since {view.served.name} serves."
        return NoChoice(NoChangeReason.NOT_DUE, sentence)
    if lack := view.unregistered():
        return lack
    found, rejected = view.eligible(
        lambda version: lack_of_evaluation(strategy.metric, _evaluation(strategy, version, due))
    )
    if not found:
        return no_candidate(rejected)
    current = view.current
    base = current or max(found, key=rank_of_age)
    if lack_of_base := lack_of_evaluation(strategy.metric, _evaluation(strategy, base, due)):
        sentence = f"The served {base.name} cannot be compared: within the look-back it {lack_of_base}; evaluate it."
        return NoChoice(NoChangeReason.NOT_COMPARABLE, sentence, rejected, needs_owner=True)
    gains = {version.name: tuple(_gains(strategy, version, base, due)) for version in found}
    best = max(found, key=lambda version: (_score(gains[version.name]), rank_of_age(version)))
    score = _score(gains[best.name])
    if current is not None and (score <= 0 or score < strategy.min_delta):
        sentence = f"{best.name} scores {score:+.4f} over the served {current.name}; {strategy.min_delta:g} is needed."
        return NoChoice(NoChangeReason.NOT_BETTER, sentence, rejected)
    over = f" over {base.name}" if base is not best else ""
    sentence = (
        f"{best.name} has the best score of {len(found)} eligible, {score:+.4f}{over}, at {due:%Y-%m-%d %H:%M %Z}."
    )
    return Choice(best, (SelectionEvidence(sentence, (("score", score),)), *map(_evidence, gains[best.name])), rejected)


Gain = tuple[str, float, float | None, float | None, float]
"""What is compared, its weight, the two values (None: unknown) and the gain."""


def _gains(strategy: PeriodicBest, version: ModelVersionFact, base: ModelVersionFact, due: datetime) -> Iterator[Gain]:
    weights, metric = strategy.weights, strategy.metric
    found = [_evaluation(strategy, one, due) for one in (version, base)]
    mine, other = (None if one is None else one.value for one in found)
    values = (
        (str(metric), weights.accuracy, mine, other, metric.direction),
        ("latency", weights.latency, version.latency, base.latency, Direction.LOWER),
        ("cost", weights.cost, version.cost, base.cost, Direction.LOWER),
        ("errors", weights.errors, version.errors, base.errors, Direction.LOWER),
    )
    total = sum(weight for _, weight, *_ in values)
    for name, weight, value, of_base, direction in values:
        if weight:
            one, two = _finite(value), _finite(of_base)
            yield name, weight / total, one, two, _gain(one, two) * (1 if direction is Direction.HIGHER else -1)


def _finite(value: float | None) -> float | None:
    """Return a value that says something; NaN and infinity are not known."""
    return value if value is not None and math.isfinite(value) else None


def _gain(value: float | None, base: float | None) -> float:
    if value is None or base is None:
        return 0.0
    larger = max(abs(value), abs(base))
    return value / larger - base / larger if larger else 0.0


def _score(gains: Sequence[Gain]) -> float:
    return math.fsum(weight * gain for _, weight, _, _, gain in gains)


def _evidence(gain: Gain) -> SelectionEvidence:
    name, weight, value, base, part = gain
    if value is None or base is None:
        return SelectionEvidence(f"{name} is not known of both, and counts as equal.", (("weight", weight),))
    sentence = f"{name}: {value:g} against {base:g}, a gain of {part:+.4f}, weighted {weight:.0%}."
    return SelectionEvidence(sentence, (("value", value), ("against", base), ("weight", weight)))


def _evaluation(strategy: PeriodicBest, version: ModelVersionFact, due: datetime) -> Evaluation | None:
    return version.evaluation(strategy.metric.dataset, strategy.metric.name, due, due - strategy.lookback)
