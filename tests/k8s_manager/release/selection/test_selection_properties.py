"""Whatever the versions and the rules: the same again, nothing blocked, no flapping, and figures that are numbers."""

import math
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_manager.release.selection.selection import evaluate
from k8s_manager.release.selection.selection_decision import NoSelection, SelectionDecision
from k8s_manager.release.selection.selection_rules import (
    AccuracyDriven,
    DataDriven,
    Direction,
    Manual,
    Measure,
    PeriodicBest,
    ScoreWeights,
    SelectionRules,
    Threshold,
    ThresholdFallback,
    VersionLimits,
)
from k8s_manager.release.selection.version_facts import LiveSample, ModelVersionFact, ServedVersion, VersionPin
from tests.k8s_manager.release.selection.facts import AUC, DAY, NOW, evaluated

values = st.sampled_from([0.5, 0.8, 0.9, 0.901, 0.95, 1.0, -1.0, 0.0, math.nan, math.inf, -math.inf])
numbers = st.none() | st.sampled_from([0.0, 0.01, 0.1, 0.2, 5.0, math.nan, math.inf])
days = st.integers(-2, 40).map(lambda count: NOW - count * DAY)
evaluations = st.lists(
    st.builds(evaluated, values, st.integers(0, 500), days, st.sampled_from(["holdout", "other"])), max_size=3
).map(tuple)
pins = st.none() | st.builds(VersionPin, st.just("ann"), days, st.just(()), st.none() | days)
facts = st.builds(
    ModelVersionFact,
    st.just(""),
    days,
    st.none() | days,
    evaluations=evaluations,
    cost=numbers,
    latency=numbers,
    errors=numbers,
    blocked=st.sampled_from([None, None, "bad"]),
    pinned=st.sampled_from([None, None, None]) | pins,
)
metrics = st.sampled_from([AUC, replace(AUC, direction=Direction.LOWER)])
deltas = st.sampled_from([0.0, 0.01, 0.1])
LIMITS = (VersionLimits("p99", Measure.LATENCY, most=0.1), VersionLimits("auc", Measure.METRIC, least=0.8, metric=AUC))
strategies = st.one_of(
    st.builds(DataDriven, deltas.map(lambda share: share * 50 * DAY), metrics, st.none() | deltas, st.none() | deltas),
    st.builds(AccuracyDriven, metrics, deltas),
    st.builds(
        PeriodicBest,
        metrics,
        st.just("0 6 * * *"),
        weights=st.builds(ScoreWeights, latency=deltas, errors=deltas),
        min_delta=deltas,
    ),
    st.builds(Threshold, st.just(LIMITS), fallback=st.sampled_from(ThresholdFallback)),
    st.just(Manual()),
)
rules_of = st.builds(SelectionRules, strategies, cool_down=st.sampled_from([timedelta(0), DAY]))


@st.composite
def models(draw):
    """Draw the versions of a model and what serves it."""
    versions = [replace(fact, name=f"v{at}") for at, fact in enumerate(draw(st.lists(facts, max_size=6)))]
    name = draw(st.sampled_from([None, "gone", *[version.name for version in versions]]))
    live = {
        "p99": [
            LiveSample(NOW - back * timedelta(minutes=5), value)
            for back, value in enumerate(draw(st.lists(values, max_size=4)))
        ]
    }
    return versions, ServedVersion(name, draw(st.none() | days), "v0", live=live)


@settings(max_examples=400, deadline=None)
@given(rules_of, models(), st.randoms())
def test_the_same_facts_in_any_order_give_the_same_decision(rules, model, order):
    versions, served = model
    shuffled = list(versions)
    order.shuffle(shuffled)
    found, again = evaluate(rules, versions, served, NOW), evaluate(rules, shuffled, served, NOW)
    assert repr(found) == repr(again)


@settings(max_examples=400, deadline=None)
@given(rules_of, models())
def test_a_decision_is_for_another_version_that_is_not_blocked_with_evidence_and_an_end(rules, model):
    versions, served = model
    found = evaluate(rules, versions, served, NOW)
    if isinstance(found, NoSelection):
        assert found.sentence.endswith(".")
        return
    to = next(version for version in versions if version.name == found.to)
    assert found.to != served.name and found.from_ == served.name and to.blocked is None
    assert NOW <= found.not_before < found.expires
    assert found.evidence and all(math.isfinite(value) for one in found.evidence for _, value in one.figures)


@settings(max_examples=400, deadline=None)
@given(rules_of, models())
def test_a_pin_in_force_is_all_that_counts(rules, model):
    versions, served = model
    held = {version.name for version in versions if version.pinned and version.pinned.holds(NOW)}
    found = evaluate(rules, versions, served, NOW)
    if held:
        assert found.strategy == "manual" and (isinstance(found, NoSelection) or found.to in held)


@settings(max_examples=400, deadline=None)
@given(rules_of, models())
def test_what_was_chosen_is_not_left_again_for_the_same_facts(rules, model):
    """A threshold may go on: whether a version is within its limits is seen only while it serves."""
    versions, served = model
    found = evaluate(rules, versions, served, NOW)
    if isinstance(found, SelectionDecision) and not isinstance(rules.strategy, Threshold):
        later = replace(served, name=found.to, since=NOW, live={})
        assert isinstance(evaluate(rules, versions, later, NOW), NoSelection)


noise = st.floats(-0.0049, 0.0049)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(noise, min_size=4, max_size=4), min_size=1, max_size=6), metrics)
def test_noise_below_the_least_difference_changes_nothing(rounds, metric):
    """Versions that are equal but for noise of less than half the least difference."""
    rules = SelectionRules(AccuracyDriven(metric, 0.01))
    for errors in rounds:
        versions = [
            ModelVersionFact(f"v{at}", NOW, evaluations=(evaluated(0.9 + error),)) for at, error in enumerate(errors)
        ]
        assert isinstance(evaluate(rules, versions, ServedVersion("v0"), NOW), NoSelection)
