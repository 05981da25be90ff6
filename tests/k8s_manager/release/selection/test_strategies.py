"""What each strategy chooses, as tables."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from k8s_manager.release.selection.selection import evaluate
from k8s_manager.release.selection.selection_decision import NoChangeReason, NoSelection, SelectionDecision
from k8s_manager.release.selection.selection_rules import (
    AccuracyDriven,
    DataDriven,
    Direction,
    Manual,
    Measure,
    Metric,
    PeriodicBest,
    ScoreWeights,
    SelectionRules,
    Threshold,
    ThresholdFallback,
    VersionLimits,
)
from k8s_manager.release.selection.version_facts import Evaluation, LiveSample, ServedVersion, VersionPin
from tests.k8s_manager.release.selection.facts import AUC, DAY, HOUR, NOW, evaluated, said, version

V1 = ServedVersion("v1", NOW - 10 * DAY, previous="v0")
NOTHING = ServedVersion(None)
BASE = version("v1", 0.9, data=20)


def chosen(strategy, *versions, served: ServedVersion = V1, now=NOW):
    return said(evaluate(SelectionRules(strategy), [BASE, *versions], served, now))


def aliased(name: str, *aliases: str, **more):
    return version(name, aliases=frozenset(aliases), **more)


@pytest.mark.parametrize(
    ("versions", "to"),
    [
        ([aliased("v2", "champion"), aliased("v3", "challenger")], "v2"),
        ([aliased("v2", "champion", "challenger")], "v2"),
        ([aliased("v2")], NoChangeReason.NO_ALIAS),
        ([aliased("v2", "champion"), aliased("v3", "champion")], NoChangeReason.NO_ALIAS),
        ([aliased("v2", "champion", blocked="empty answers")], NoChangeReason.ALIAS_BLOCKED),
        ([aliased("v2", "champion"), version("v3", pinned=VersionPin("anna", NOW - HOUR))], "v3"),
    ],
)
def test_manual_with_an_alias_chooses_the_one_that_has_it(versions, to):
    assert chosen(Manual("champion"), *versions)[0] == to


def test_an_alias_of_the_served_version_asks_for_nothing_and_a_moved_one_waits_for_the_cool_down():
    found = evaluate(SelectionRules(Manual("champion")), [aliased("v1", "champion")], V1, NOW)
    assert isinstance(found, NoSelection) and found.reason == NoChangeReason.ALIAS_SERVES and not found.needs_owner
    young = replace(V1, since=NOW - HOUR)
    found = evaluate(SelectionRules(Manual("champion")), [BASE, aliased("v2", "champion")], young, NOW)
    assert isinstance(found, SelectionDecision) and found.not_before == NOW + 23 * HOUR


NEWEST = DataDriven(2 * DAY, AUC, floor=0.8, max_regression=0.05)


@pytest.mark.parametrize(
    ("versions", "to", "why"),
    [
        ([version("v2", 0.9, data=5), version("v3", 0.88, data=1)], "v3", {}),
        ([version("v2", 0.9, data=5), version("v3", 0.9, data=5)], "v3", {}),
        ([version("v9", 0.9, data=5), version("v10", 0.9, data=5)], "v10", {}),
        ([version("v2", 0.9, data=18)], "v2", {}),
        ([version("v2", 0.9, data=18.1)], NoChangeReason.NOT_BETTER, {}),
        ([version("v2", 0.9, data=30)], NoChangeReason.NOT_BETTER, {}),
        ([], NoChangeReason.NO_CANDIDATE, {}),
        (
            [version("v2", 0.79, data=1)],
            NoChangeReason.NO_CANDIDATE,
            {"v2": "auc on holdout is 0.79 and the floor is 0.8"},
        ),
        (
            [version("v2", 0.84, data=1)],
            NoChangeReason.NO_CANDIDATE,
            {"v2": "auc on holdout is 0.84, more than 0.05 worse than the served 0.9"},
        ),
        ([version("v2", data=1)], NoChangeReason.NO_CANDIDATE, {"v2": "has no finite value of auc on holdout"}),
        (
            [version("v2", math.nan, data=1)],
            NoChangeReason.NO_CANDIDATE,
            {"v2": "has no finite value of auc on holdout"},
        ),
        ([version("v2", 0.9)], NoChangeReason.NO_CANDIDATE, {"v2": "does not say until when its data reaches"}),
        (
            [version("v2", 0.9, data=-1)],
            NoChangeReason.NO_CANDIDATE,
            {"v2": "says that its data reaches until 2026-06-02 12:00, which is still to come"},
        ),
        ([version("v2", 0.9, data=1, blocked="5xx 3 %")], NoChangeReason.NO_CANDIDATE, {"v2": "is blocked (5xx 3 %)"}),
    ],
)
def test_data_driven(versions, to, why):
    assert chosen(NEWEST, *versions) == (to, why)


def test_data_driven_without_a_metric_looks_at_data_alone():
    assert chosen(DataDriven(), version("v2", data=19.9))[0] == "v2"
    assert chosen(DataDriven(), version("v2", data=20))[0] is NoChangeReason.NOT_BETTER


def test_data_driven_needs_the_served_versions_value_to_see_a_regression():
    found = evaluate(SelectionRules(NEWEST), [replace(BASE, evaluations=()), version("v2", 0.9, data=1)], V1, NOW)
    assert said(found)[1] == {"v2": "the served v1 has no value of auc on holdout to compare with; evaluate it"}


BEST = AccuracyDriven(AUC, 0.01)


@pytest.mark.parametrize(
    ("versions", "to"),
    [
        ([version("v2", 0.92), version("v3", 0.95)], "v3"),
        ([version("v2", 0.91)], "v2"),
        ([version("v2", 0.9099)], NoChangeReason.NOT_BETTER),
        ([version("v2", 0.95, data=9), version("v3", 0.95, data=8)], "v3"),
        ([version("v2", 0.95, data=8), version("v3", 0.95, data=9)], "v2"),
        ([version("v2", 0.95, data=8), version("v3", 0.95)], "v2"),
        ([version("v2", 0.95), version("v3", 0.95)], "v3"),
        ([version("v2", math.inf)], NoChangeReason.NO_CANDIDATE),
        ([version("v2", math.nan), version("v3", 0.95)], "v3"),
        ([version("v2", evaluations=(evaluated(0.99, samples=99),))], NoChangeReason.NO_CANDIDATE),
        ([version("v2", evaluations=(evaluated(0.99, dataset="other"),))], NoChangeReason.NO_CANDIDATE),
        ([version("v2", evaluations=(evaluated(0.99, at=NOW + HOUR),))], NoChangeReason.NO_CANDIDATE),
        ([version("v2", evaluations=(evaluated(0.99, at=NOW - 3 * DAY), evaluated(0.8)))], NoChangeReason.NOT_BETTER),
        ([version("v2", evaluations=(evaluated(0.99), evaluated(0.8)))], NoChangeReason.NOT_BETTER),
        ([version("v2", 0.99, blocked="")], NoChangeReason.NO_CANDIDATE),
    ],
)
def test_accuracy_driven(versions, to):
    assert chosen(BEST, *versions)[0] == to


def test_accuracy_driven_where_lower_is_better():
    strategy = AccuracyDriven(replace(AUC, direction=Direction.LOWER), 0.01)
    assert chosen(strategy, version("v2", 0.95), version("v3", 0.85))[0] == "v3"
    assert chosen(strategy, version("v2", 0.95))[0] is NoChangeReason.NOT_BETTER


def test_accuracy_driven_changes_nothing_for_an_equal_value():
    assert chosen(AccuracyDriven(AUC), version("v2", 0.9, data=1))[0] is NoChangeReason.NOT_BETTER


@pytest.mark.parametrize("strategy", [BEST, PeriodicBest(AUC, "0 6 * * *")])
def test_a_served_version_without_evaluation_stops_a_comparison_and_its_owner_hears_of_it(strategy):
    found = evaluate(SelectionRules(strategy), [version("v1"), version("v2", 0.99)], V1, NOW)
    assert said(found)[0] is NoChangeReason.NOT_COMPARABLE and found.needs_owner and "evaluate it" in found.sentence


@pytest.mark.parametrize("strategy", [NEWEST, BEST, PeriodicBest(AUC, "0 6 * * *")])
def test_a_served_version_that_is_not_registered_stops_a_comparison(strategy):
    found = evaluate(SelectionRules(strategy), [version("v2", 0.99, data=1)], V1, NOW)
    assert (
        said(found)[0] is NoChangeReason.NOT_COMPARABLE and "Version v1 is served and not registered" in found.sentence
    )


WEIGHTS = ScoreWeights(accuracy=0.5, latency=0.3, cost=0.1, errors=0.1)
WEEKLY = PeriodicBest(AUC, "0 6 * * 1", lookback=7 * DAY, weights=WEIGHTS, min_delta=0.01)
MEASURED = replace(BASE, latency=0.1, cost=10.0, errors=0.01)


@pytest.mark.parametrize(
    ("versions", "to"),
    [
        ([version("v2", 0.9, latency=0.05, cost=10, errors=0.01)], "v2"),
        ([version("v2", 0.9, latency=0.1, cost=10, errors=0.01)], NoChangeReason.NOT_BETTER),
        ([version("v2", 0.9, latency=0.098, cost=10, errors=0.01)], NoChangeReason.NOT_BETTER),
        ([version("v2", 0.85, latency=0.05, cost=10, errors=0.01)], "v2"),
        ([version("v2", 0.95, latency=0.2, cost=10, errors=0.01)], NoChangeReason.NOT_BETTER),
        ([version("v2", 0.95)], "v2"),
        ([version("v2", 0.95, latency=math.nan)], "v2"),
        ([version("v2", 0.91, latency=0.1), version("v3", 0.9, latency=0.01)], "v3"),
        ([version("v2", evaluations=(evaluated(0.99, at=NOW - 8 * DAY),))], NoChangeReason.NO_CANDIDATE),
        ([version("v2", evaluations=(evaluated(0.99, at=NOW - HOUR),))], NoChangeReason.NO_CANDIDATE),
        ([version("v2", 0.95, blocked="slow")], NoChangeReason.NO_CANDIDATE),
    ],
)
def test_periodic_best(versions, to):
    found = evaluate(SelectionRules(WEEKLY), [MEASURED, *versions], V1, NOW)
    assert said(found)[0] == to


def test_periodic_best_decides_once_for_each_moment_of_its_cron_by_local_clocks():
    strategy = replace(WEEKLY, zone="Asia/Tokyo")  # Monday 06:00 there is Sunday 21:00 UTC
    due = NOW.replace(hour=21) - DAY
    for since, to in ((due - HOUR, "v2"), (due, NoChangeReason.NOT_DUE), (due + HOUR, NoChangeReason.NOT_DUE)):
        served = replace(V1, since=since)
        assert (
            said(
                evaluate(
                    SelectionRules(strategy),
                    [MEASURED, version("v2", evaluations=(evaluated(0.99, at=due - 2 * HOUR),))],
                    served,
                    NOW,
                )
            )[0]
            == to
        )


def test_a_bad_version_that_is_registered_moves_no_score():
    good = version("v2", 0.93, latency=0.1)
    scores = []
    for others in ([], [version("v3", 0.1, latency=9.0)]):
        found = evaluate(SelectionRules(WEEKLY), [MEASURED, good, *others], V1, NOW)
        assert isinstance(found, SelectionDecision) and found.to == "v2"
        scores.append(dict(found.evidence[0].figures)["score"])
    assert scores[0] == scores[1]


SLOW = VersionLimits("p99", Measure.LATENCY, most=0.2)
GOOD = VersionLimits("accuracy", Measure.METRIC, least=0.85, metric=AUC)
DRIFT = VersionLimits("psi", Measure.DRIFT, most=0.2)
LIMITS = Threshold((SLOW, GOOD), lasting=timedelta(minutes=10))


def live(*values: float, name: str = "p99", step: timedelta = timedelta(minutes=5), **more) -> ServedVersion:
    """Return the served version with live values, the last one of now."""
    samples = [LiveSample(NOW - step * back, value) for back, value in enumerate(reversed(values))]
    return replace(V1, live={name: samples}, **more)


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ((0.3, 0.3, 0.3), True),
        ((0.1, 0.3, 0.3, 0.3), True),
        ((0.3, 0.1, 0.3, 0.3), False),
        ((0.3, 0.3, 0.3, 0.2), False),
        ((0.3, 0.3), False),
        ((0.3, math.nan, 0.3), True),
        ((math.inf, math.inf, math.inf), False),
        ((), False),
        ((0.3,), False),
    ],
)
def test_threshold_acts_once_a_limit_is_broken_for_long_enough(values, changes):
    good = {GOOD.name: [LiveSample(NOW, 0.9)]}
    served = live(*values)
    found = chosen(LIMITS, version("v2", 0.9, latency=0.1), served=replace(served, live={**served.live, **good}))[0]
    is_known = any(map(math.isfinite, values))
    assert found == ("v2" if changes else NoChangeReason.WITHIN_LIMITS if is_known else NoChangeReason.FIGURES_MISSING)


def test_a_gap_in_the_live_values_begins_the_time_beyond_a_limit_again():
    served = live(0.3, 0.3, 0.3, step=timedelta(minutes=11))
    strategy = replace(LIMITS, limits=(SLOW,))
    assert chosen(strategy, version("v2", 0.9, latency=0.1), served=served)[0] is NoChangeReason.WITHIN_LIMITS


def test_live_values_that_are_old_break_no_limit_and_are_said_to_be_missing():
    served, versions = live(0.3, 0.3, 0.3, flaws={"p99": "no collector answers"}), [BASE, version("v2", latency=0.1)]
    found = evaluate(SelectionRules(LIMITS), versions, served, NOW + HOUR)
    assert said(found)[0] is NoChangeReason.FIGURES_MISSING and found.needs_owner
    assert "nothing is known of p99 (no collector answers), accuracy (no value of the last ten min" in found.sentence
    found = evaluate(SelectionRules(LIMITS), versions, replace(served, flaws={}), NOW + HOUR)
    assert said(found)[0] is NoChangeReason.FIGURES_MISSING and not found.needs_owner


@pytest.mark.parametrize(
    ("versions", "to", "why"),
    [
        ([version("v2", 0.9, latency=0.19), version("v3", 0.9, latency=0.1)], "v3", {}),
        ([version("v2", 0.86, latency=0.01), version("v3", 0.99, latency=0.15)], "v3", {}),
        ([version("v2", 0.9, latency=0.1, data=1), version("v3", 0.9, latency=0.1, data=2)], "v2", {}),
        ([version("v2", 0.9)], NoChangeReason.NO_CANDIDATE, {"v2": "has no known latency"}),
        (
            [version("v2", 0.9, latency=0.3)],
            NoChangeReason.NO_CANDIDATE,
            {"v2": "p99 is 0.3, and the limit is p99 <= 0.2"},
        ),
        (
            [version("v2", 0.8, latency=0.1)],
            NoChangeReason.NO_CANDIDATE,
            {"v2": "accuracy is 0.8, and the limit is 0.85 <= accuracy"},
        ),
        ([version("v2", latency=0.1)], NoChangeReason.NO_CANDIDATE, {"v2": "has no finite value of auc on holdout"}),
        ([version("v2", 0.9, latency=0.1, blocked="bad")], NoChangeReason.NO_CANDIDATE, {"v2": "is blocked (bad)"}),
    ],
)
def test_threshold_takes_the_version_that_meets_all_limits_with_the_most_room(versions, to, why):
    assert chosen(LIMITS, *versions, served=live(0.3, 0.3, 0.3)) == (to, why)


def test_threshold_without_an_eligible_version_keeps_and_says_so_or_goes_back():
    found = evaluate(SelectionRules(LIMITS), [BASE, version("v0")], live(0.3, 0.3, 0.3), NOW)
    assert said(found)[0] is NoChangeReason.NO_CANDIDATE and found.needs_owner
    assert found.sentence.startswith("The served v1 is beyond p99 <= 0.2 since 2026-06-01 11:50: 0.3.")
    back = replace(LIMITS, fallback=ThresholdFallback.PREVIOUS)
    assert chosen(back, version("v0"), served=live(0.3, 0.3, 0.3))[0] == "v0"
    assert chosen(back, version("v0", blocked="bad"), served=live(0.3, 0.3, 0.3))[0] is NoChangeReason.NO_CANDIDATE
    assert chosen(back, served=live(0.3, 0.3, 0.3))[0] is NoChangeReason.NO_CANDIDATE


def test_drift_asks_for_newer_data():
    strategy, served = Threshold((DRIFT,), timedelta(minutes=10)), live(0.3, 0.3, 0.3, name="psi")
    assert chosen(strategy, version("v2", data=1), version("v3", data=5), served=served)[0] == "v2"
    assert chosen(strategy, version("v2", data=21), version("v3"), served=served) == (
        NoChangeReason.NO_CANDIDATE,
        {
            "v2": "has data until 2026-05-11, not newer than the served one, and drift asks for newer data",
            "v3": "does not say until when its data reaches, and drift asks for newer data",
        },
    )


@pytest.mark.parametrize("strategy", [NEWEST, BEST, WEEKLY, LIMITS])
def test_where_nothing_serves_yet_the_best_eligible_version_is_chosen(strategy):
    versions = [version("v2", 0.95, data=1, latency=0.1), version("v3", 0.9, data=9, latency=0.15), version("v4")]
    found = evaluate(SelectionRules(strategy), versions, NOTHING, NOW)
    assert isinstance(found, SelectionDecision) and (found.from_, found.to) == (None, "v2")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: AccuracyDriven(AUC, math.nan),
        lambda: AccuracyDriven(AUC, -1),
        lambda: DataDriven(-DAY),
        lambda: DataDriven(floor=0.5),
        lambda: DataDriven(metric=AUC, floor=math.inf),
        lambda: ScoreWeights(0, 0, 0, 0),
        lambda: ScoreWeights(math.inf),
        lambda: PeriodicBest(AUC, "0 0 31 2 *"),
        lambda: PeriodicBest(AUC, "0 0 * * *", zone="Mars"),
        lambda: VersionLimits("p99", Measure.LATENCY),
        lambda: VersionLimits("p99", Measure.LATENCY, least=2, most=1),
        lambda: VersionLimits("accuracy", Measure.METRIC, least=1),
        lambda: Threshold(()),
        lambda: Threshold((SLOW, SLOW)),
        lambda: SelectionRules(BEST, cool_down=-DAY),
        lambda: SelectionRules(BEST, max_delay=timedelta(0)),
        lambda: SelectionRules(BEST, approvers=-1),
    ],
)
def test_rules_that_cannot_be_followed_are_rejected(wrong):
    with pytest.raises(ValueError, match="write"):
        wrong()


def test_of_two_evaluations_at_one_moment_that_with_more_samples_counts():
    few, many = Evaluation("holdout", "auc", 0.99, 100, NOW), Evaluation("holdout", "auc", 0.8, 1000, NOW)
    for order in ((few, many), (many, few)):
        assert version("v2", evaluations=order).evaluation("holdout", "auc", NOW) == many


def test_the_name_of_a_metric_says_where_it_was_measured():
    assert str(Metric("auc", "holdout")) == "auc on holdout"
