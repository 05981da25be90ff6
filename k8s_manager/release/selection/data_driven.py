"""Strategy `dataDriven`: the version with the newest data that passes its checks."""

from datetime import UTC, datetime

from k8s_manager.release.selection.candidates import SelectionView, lack_of_evaluation, no_candidate
from k8s_manager.release.selection.selection_decision import Choice, NoChangeReason, NoChoice, SelectionEvidence
from k8s_manager.release.selection.selection_rules import DataDriven, Metric
from k8s_manager.release.selection.version_facts import ModelVersionFact, rank_of_age

_NEVER = datetime.min.replace(tzinfo=UTC)


def choose_newest(strategy: DataDriven, view: SelectionView) -> Choice | NoChoice:
    """Return the eligible version with the newest data; a served version without a date has the oldest."""
    if lack := view.unregistered():
        return lack
    found, rejected = view.eligible(lambda version: _flaw(strategy, view, version))
    if not found:
        return no_candidate(rejected)
    newest = max(found, key=rank_of_age)
    until = newest.data_until or _NEVER
    served = view.current.data_until if view.current else None
    if served is not None and (until <= served or until - served < strategy.min_freshness):
        return NoChoice(
            NoChangeReason.NOT_BETTER,
            f"The newest eligible data is that of {newest.name}, until {until:%Y-%m-%d %H:%M}; the served data is of "
            f"{served:%Y-%m-%d %H:%M}, and {strategy.min_freshness} more is needed.",
            rejected,
        )
    said = f", and that of the served {view.served.name} until {served:%Y-%m-%d %H:%M}" if served else ""
    first = SelectionEvidence(f"The data of {newest.name} reaches until {until:%Y-%m-%d %H:%M}{said}.")
    return Choice(newest, (first, *_evaluated(strategy, view, newest)), rejected)


def _flaw(strategy: DataDriven, view: SelectionView, version: ModelVersionFact) -> str | None:
    if version.data_until is None:
        return "does not say until when its data reaches"
    if version.data_until > view.now:
        return f"says that its data reaches until {version.data_until:%Y-%m-%d %H:%M}, which is still to come"
    return _flaw_of_metric(strategy, strategy.metric, view, version) if strategy.metric else None


def _flaw_of_metric(strategy: DataDriven, metric: Metric, view: SelectionView, version: ModelVersionFact) -> str | None:
    found = version.evaluation(metric.dataset, metric.name, view.now)
    lack = lack_of_evaluation(metric, found)
    if lack or found is None:
        return lack
    if strategy.floor is not None and metric.gain(found.value, strategy.floor) < 0:
        return f"{metric} is {found.value:g} and the floor is {strategy.floor:g}"
    if strategy.max_regression is None or view.current is None:
        return None
    served = view.current.evaluation(metric.dataset, metric.name, view.now)
    if served is None:
        return f"the served {view.current.name} has no value of {metric} to compare with; evaluate it"
    if metric.gain(found.value, served.value) < -strategy.max_regression:
        return (
            f"{metric} is {found.value:g}, more than {strategy.max_regression:g} worse than the served {served.value:g}"
        )
    return None


def _evaluated(strategy: DataDriven, view: SelectionView, version: ModelVersionFact) -> tuple[SelectionEvidence, ...]:
    metric = strategy.metric
    found = version.evaluation(metric.dataset, metric.name, view.now) if metric else None
    if metric is None or found is None:
        return ()
    floor = "" if strategy.floor is None else f", the floor {strategy.floor:g}"
    sentence = f"Its {metric} is {found.value:g} of {found.samples} samples{floor}."
    return (SelectionEvidence(sentence, (("value", found.value), ("samples", found.samples))),)
