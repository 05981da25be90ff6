"""Strategy `accuracyDriven`: the version with the best value of one metric on one data set."""

from k8s_manager.release.selection.candidates import SelectionView, lack_of_evaluation, no_candidate
from k8s_manager.release.selection.selection_decision import Choice, NoChangeReason, NoChoice, SelectionEvidence
from k8s_manager.release.selection.selection_rules import AccuracyDriven
from k8s_manager.release.selection.version_facts import Evaluation, ModelVersionFact, rank_of_age

ROUNDING = 1e-12
"""0.92 - 0.91 is a little less than 0.01 in floating point; so much is forgiven, relative to the values."""


def choose_most_accurate(strategy: AccuracyDriven, view: SelectionView) -> Choice | NoChoice:
    """Return the version that is better than the served one by the least difference, and at all."""
    if lack := view.unregistered():
        return lack
    metric = strategy.metric
    found, rejected = view.eligible(lambda version: lack_of_evaluation(metric, _evaluation(strategy, view, version)))
    values = {version.name: one for version in found if (one := _evaluation(strategy, view, version))}
    if not values:
        return no_candidate(rejected)
    best = max(found, key=lambda version: (metric.gain(values[version.name].value, 0.0), rank_of_age(version)))
    value = values[best.name]
    sentence = (
        f"{metric} of {best.name} is {value.value:g} of {value.samples} samples, the best of {len(found)} eligible."
    )
    mine = SelectionEvidence(sentence, (("value", value.value), ("samples", value.samples)))
    if view.current is None:
        return Choice(best, (mine,), rejected)
    served = _evaluation(strategy, view, view.current)
    lack_of_served = lack_of_evaluation(metric, served)
    if served is None or lack_of_served:
        sentence = (
            f"The served {view.current.name} cannot be compared: {lack_of_served}; evaluate it, or pin a version."
        )
        return NoChoice(NoChangeReason.NOT_COMPARABLE, sentence, rejected, needs_owner=True)
    gain = metric.gain(value.value, served.value)
    if gain <= 0 or gain + ROUNDING * (abs(value.value) + abs(served.value)) < strategy.min_delta:
        sentence = (
            f"{metric} of {best.name} is {value.value:g}, that of the served {view.current.name} {served.value:g}; "
            f"{strategy.min_delta:g} better is needed."
        )
        return NoChoice(NoChangeReason.NOT_BETTER, sentence, rejected)
    sentence = f"That is {gain:g} better than the {served.value:g} of the served {view.current.name}."
    return Choice(best, (mine, SelectionEvidence(sentence, (("served", served.value), ("gain", gain)))), rejected)


def _evaluation(strategy: AccuracyDriven, view: SelectionView, version: ModelVersionFact) -> Evaluation | None:
    return version.evaluation(strategy.metric.dataset, strategy.metric.name, view.now)
