"""The version of a model that should serve, by its strategy and what is common to all.

A blocked version is never chosen. A pin overrides the strategy until it ends. Nothing is chosen while a release is
under way. A decision waits for the cool-down (a pinned version does not), and expires when it has waited too long for
its release. The same facts give the same decision. What the strategies mean is our definition: the article that names
them gives none.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import assert_never

from k8s_manager.release.selection.accuracy_driven import choose_most_accurate
from k8s_manager.release.selection.candidates import SelectionView
from k8s_manager.release.selection.data_driven import choose_newest
from k8s_manager.release.selection.manual import choose_aliased, choose_pinned, pinned_version, without_pin
from k8s_manager.release.selection.periodic_best import choose_periodic_best
from k8s_manager.release.selection.selection_decision import (
    Choice,
    NoChangeReason,
    NoChoice,
    NoSelection,
    SelectionDecision,
)
from k8s_manager.release.selection.selection_rules import (
    STRATEGY_NAMES,
    AccuracyDriven,
    DataDriven,
    Manual,
    PeriodicBest,
    SelectionRules,
    Strategy,
    Threshold,
)
from k8s_manager.release.selection.threshold import choose_within_limits
from k8s_manager.release.selection.version_facts import ModelVersionFact, ServedVersion


def evaluate(
    rules: SelectionRules, versions: Sequence[ModelVersionFact], served: ServedVersion, now: datetime
) -> SelectionDecision | NoSelection:
    """Return which version should serve instead of the served one, or why none should; `now` is aware.

    Raises `ValueError` where two versions have one name: the caller gives each its own.
    """
    ordered = tuple(sorted(versions, key=lambda version: version.name))
    if len({version.name for version in ordered}) < len(ordered):
        raise ValueError("two versions of the model have the same name; list each of them once")
    view = SelectionView(ordered, served, now)
    pinned = pinned_version(rules, view)
    name = STRATEGY_NAMES[Manual if pinned else type(rules.strategy)]
    if served.releasing:
        sentence = "A release of the model is under way; the next version is chosen when it has ended."
        return NoSelection(name, NoChangeReason.RELEASING, sentence)
    found = choose_pinned(pinned, view) if pinned else _chosen(rules, rules.strategy, view)
    if isinstance(found, NoChoice):
        return NoSelection(name, found.reason, found.sentence, found.rejected, found.needs_owner)
    return _decision(rules, found, view, name, timedelta(0) if pinned else rules.cool_down)


def _chosen(rules: SelectionRules, strategy: Strategy, view: SelectionView) -> Choice | NoChoice:
    match strategy:
        case DataDriven():
            return choose_newest(strategy, view)
        case AccuracyDriven():
            return choose_most_accurate(strategy, view)
        case PeriodicBest():
            return choose_periodic_best(strategy, view)
        case Threshold():
            return choose_within_limits(strategy, view)
        case Manual(alias):
            return choose_aliased(alias, view) if alias else without_pin(rules, view)
        case _:
            assert_never(strategy)


def _decision(
    rules: SelectionRules, found: Choice, view: SelectionView, name: str, cool_down: timedelta
) -> SelectionDecision:
    since = view.served.since
    not_before = max(view.now, since + cool_down) if since else view.now
    expires = not_before + rules.max_delay
    from_, to = view.served.name, found.version.name
    return SelectionDecision(from_, to, name, found.evidence, not_before, expires, found.rejected)
