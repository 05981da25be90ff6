"""Strategy `threshold`: another version once the served one has been beyond a limit for long enough."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from k8s_manager.release.selection.candidates import SelectionView, lack_of_evaluation
from k8s_manager.release.selection.selection_decision import (
    Choice,
    NoChangeReason,
    NoChoice,
    SelectionEvidence,
    VersionRejection,
)
from k8s_manager.release.selection.selection_rules import Measure, Threshold, ThresholdFallback, VersionLimits
from k8s_manager.release.selection.version_facts import LiveSample, ModelVersionFact, rank_of_age

FRESH = timedelta(minutes=10)
"""A last live value that is older says nothing, and a longer gap between two is a break."""


def choose_within_limits(strategy: Threshold, view: SelectionView) -> Choice | NoChoice:
    """Return the version that meets all limits with the most room, once the served one does not."""
    broken = [limit for limit in strategy.limits if _lasted(limit, view) >= strategy.lasting]
    if view.served.name is not None and not broken:
        return _within(strategy, view)
    found, rejected = view.eligible(lambda version: _flaw(strategy, view, version))
    evidence = tuple(_violation(limit, view) for limit in broken)
    if not found:
        return _by_fallback(strategy, view, evidence, rejected)
    best = max(found, key=lambda version: (_room(strategy, view, version), rank_of_age(version)))
    room = _room(strategy, view, best)
    known = "" if math.isinf(room) else f", with {room:.1%} of room at the nearest"
    figures = () if math.isinf(room) else (("room", room),)
    mine = SelectionEvidence(f"{best.name} meets all limits{known}; {len(found)} eligible.", figures)
    return Choice(best, (*evidence, mine), rejected)


def _within(strategy: Threshold, view: SelectionView) -> NoChoice:
    """Return that no limit is known to be broken, and of which nothing is known."""
    unknown = [limit for limit in strategy.limits if not _is_known(limit, view)]
    if not unknown:
        return NoChoice(NoChangeReason.WITHIN_LIMITS, f"The served {view.served.name} is within its limits.")
    flaws = [f"{limit.name} ({view.served.flaws[limit.name]})" for limit in unknown if limit.name in view.served.flaws]
    quiet = [limit.name for limit in unknown if limit.name not in view.served.flaws]
    what = ", ".join((*flaws, *(f"{name} (no value of the last ten minutes)" for name in quiet)))
    sentence = f"No limit of the served {view.served.name} is known to be broken; nothing is known of {what}."
    return NoChoice(NoChangeReason.FIGURES_MISSING, sentence, needs_owner=bool(flaws))


def _is_known(limit: VersionLimits, view: SelectionView) -> bool:
    """Tell whether there is a fresh value of what is limited."""
    samples = view.served.live.get(limit.name, ())
    return any(math.isfinite(one.value) and timedelta(0) <= view.now - one.at <= FRESH for one in samples)


def violated_since(limit: VersionLimits, samples: Sequence[LiveSample], now: datetime) -> datetime | None:
    """Return since when the live values are beyond a limit without a break; None where the last one is not, or is not
    fresh. Values that are not finite are left out."""
    known = sorted((s for s in samples if math.isfinite(s.value) and s.at <= now), key=lambda sample: sample.at)
    if not known or now - known[-1].at > FRESH:
        return None
    since = None
    for sample in reversed(known):
        if limit.margin(sample.value) >= 0 or (since is not None and since - sample.at > FRESH):
            break
        since = sample.at
    return since


def _lasted(limit: VersionLimits, view: SelectionView) -> timedelta:
    """Return for how long the served version has been beyond a limit; negative where it is not."""
    since = violated_since(limit, view.served.live.get(limit.name, ()), view.now)
    return view.now - since if since else timedelta(days=-1)


def _violation(limit: VersionLimits, view: SelectionView) -> SelectionEvidence:
    samples = view.served.live[limit.name]
    last = max((s for s in samples if math.isfinite(s.value) and s.at <= view.now), key=lambda sample: sample.at)
    since = violated_since(limit, samples, view.now)
    sentence = f"The served {view.served.name} is beyond {limit} since {since:%Y-%m-%d %H:%M}: {last.value:g}."
    return SelectionEvidence(sentence, (("value", last.value),))


def _flaw(strategy: Threshold, view: SelectionView, version: ModelVersionFact) -> str | None:
    """Return the first limit that a version does not meet, or of which it has no value."""
    for limit in strategy.limits:
        if limit.measure is Measure.DRIFT:
            if flaw := _flaw_of_drift(view, version):
                return flaw
            continue
        value, lack = _value(limit, view, version)
        if lack or value is None:
            return lack
        if limit.margin(value) < 0:
            return f"{limit.name} is {value:g}, and the limit is {limit}"
    return None


def _flaw_of_drift(view: SelectionView, version: ModelVersionFact) -> str | None:
    """Return why a version does not answer drift: live data has moved on, so that its own has to be newer."""
    until, served = version.data_until, view.current.data_until if view.current else None
    if until is None or until > view.now:
        return "does not say until when its data reaches, and drift asks for newer data"
    if served is not None and until <= served:
        return f"has data until {until:%Y-%m-%d}, not newer than the served one, and drift asks for newer data"
    return None


def _value(limit: VersionLimits, view: SelectionView, version: ModelVersionFact) -> tuple[float | None, str | None]:
    """Return a version's own value of what is limited, or why there is none."""
    if limit.metric is not None:
        found = version.evaluation(limit.metric.dataset, limit.metric.name, view.now)
        lack = lack_of_evaluation(limit.metric, found)
        return (None, lack) if lack or found is None else (found.value, None)
    value = {Measure.LATENCY: version.latency, Measure.ERRORS: version.errors, Measure.COST: version.cost}[
        limit.measure
    ]
    return (None, f"has no known {limit.measure}") if value is None or not math.isfinite(value) else (value, None)


def _room(strategy: Threshold, view: SelectionView, version: ModelVersionFact) -> float:
    """Return the margin of the nearest limit; infinite where all limits are of drift."""
    values = (
        (limit, _value(limit, view, version)[0]) for limit in strategy.limits if limit.measure is not Measure.DRIFT
    )
    return min((limit.margin(value) for limit, value in values if value is not None), default=math.inf)


def _by_fallback(
    strategy: Threshold,
    view: SelectionView,
    evidence: tuple[SelectionEvidence, ...],
    rejected: tuple[VersionRejection, ...],
) -> Choice | NoChoice:
    previous = view.fact(view.served.previous)
    is_free = previous is not None and previous.blocked is None and previous.name != view.served.name
    if strategy.fallback is ThresholdFallback.PREVIOUS and previous is not None and is_free and evidence:
        said = SelectionEvidence(
            f"No version meets all limits, so that the previous one, {previous.name}, serves again."
        )
        return Choice(previous, (*evidence, said), rejected)
    first = f", such as {rejected[0].name}: {rejected[0].why}" if rejected else ""
    what = evidence[0].sentence if evidence else "No version serves yet."
    sentence = f"{what} No version meets all limits{first}; register a better one, or change the limits."
    return NoChoice(NoChangeReason.NO_CANDIDATE, sentence, rejected, needs_owner=True)
