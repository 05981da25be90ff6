"""What checks say of requests, and the numbers that they keep."""

import math
from dataclasses import replace

import pytest

from k8s_manager.release.decision.checks import FALSE_ALARM, check_results
from k8s_manager.release.decision.observation import (
    ExternalReading,
    ReleaseObservation,
    StepStatistics,
    VersionStatistics,
    version_statistics,
)
from k8s_manager.release.decision.rules import (
    ExternalCheck,
    OutcomeCheck,
    QuantileCheck,
    ReleaseCheck,
    ReleaseRules,
    ReleaseStep,
)
from k8s_manager.release.decision.state import CheckResult, ReleasePhase, ReleaseState
from tests.support.releases import requests

STEPS = (ReleaseStep(5), ReleaseStep(50))
STATE = ReleaseState("v1", "v2", ReleasePhase.RUNNING, begun=True, weight=5, since=100)
FIRST, LAST = 0, 1
ERRORS = OutcomeCheck("errors", "5xx", most=0.01)
TWICE = OutcomeCheck("errors", "5xx", times_stable=1.5)
SLOW = QuantileCheck("slow", 0.99, most=0.2)
SLOWER = QuantileCheck("slow", 0.99, times_stable=1.2)
EITHER = QuantileCheck("slow", 0.99, most=0.2, times_stable=1.2)
NONE = VersionStatistics()


def checked(
    check: ReleaseCheck,
    new: VersionStatistics = NONE,
    stable: VersionStatistics = NONE,
    step: int = FIRST,
    reading: ExternalReading | None = None,
    state: ReleaseState = STATE,
    at: float = 200,
) -> CheckResult:
    statistics = StepStatistics(100, at - 5, stable, new)
    readings = {check.name: reading} if reading else {}
    seen = ReleaseObservation(at, "v2", {}, {}, statistics=statistics, readings=readings)
    return check_results(ReleaseRules(STEPS, (check,)), step, state, seen)[0]


@pytest.mark.parametrize(
    ("check", "new", "stable", "on_the_way", "at_the_end"),
    [
        (ERRORS, requests(10_000, 50), NONE, "pass", "pass"),
        (ERRORS, requests(300, 2), NONE, "pass", "inconclusive"),
        (ERRORS, requests(300, 5), NONE, "inconclusive", "inconclusive"),
        (ERRORS, requests(10_000, 300), NONE, "fail", "fail"),
        (ERRORS, requests(8, 8), NONE, "fail", "fail"),
        (ERRORS, requests(2, 2), NONE, "inconclusive", "inconclusive"),
        (ERRORS, NONE, NONE, "inconclusive", "inconclusive"),
        (TWICE, requests(50_000, 500), requests(50_000, 500), "pass", "pass"),
        (TWICE, requests(50_000, 1500), requests(50_000, 500), "fail", "fail"),
        (TWICE, requests(50_000, 5000), requests(50_000, 5000), "pass", "pass"),
        (TWICE, requests(1000, 12), requests(9000, 90), "pass", "inconclusive"),
        (TWICE, requests(50_000, 0), requests(50_000, 0), "pass", "pass"),
        (TWICE, requests(500, 0), requests(500, 0), "pass", "inconclusive"),
        (TWICE, requests(50_000, 20), requests(50_000, 5), "pass", "pass"),
        (TWICE, requests(1000, 100), NONE, "inconclusive", "inconclusive"),
        (SLOW, requests(20_000, slow=40), NONE, "pass", "pass"),
        (SLOW, requests(20_000, slow=400), NONE, "fail", "fail"),
        (SLOW, requests(400, slow=3), NONE, "pass", "inconclusive"),
        (SLOW, requests(60), NONE, "inconclusive", "inconclusive"),
        (SLOWER, requests(20_000, seconds=0.05), requests(20_000, seconds=0.05), "pass", "pass"),
        (SLOWER, requests(20_000, seconds=0.08), requests(20_000, seconds=0.05), "fail", "fail"),
        (SLOWER, requests(200, seconds=0.05), requests(20_000, seconds=0.05), "pass", "inconclusive"),
        (SLOWER, requests(20_000, seconds=0.05), NONE, "inconclusive", "inconclusive"),
        (EITHER, requests(20_000, seconds=0.15), requests(20_000, seconds=0.05), "pass", "pass"),
        (EITHER, requests(20_000, seconds=0.30), requests(20_000, seconds=0.28), "pass", "pass"),
        (EITHER, requests(20_000, seconds=0.50), requests(20_000, seconds=0.28), "fail", "fail"),
        (EITHER, requests(20_000, seconds=0.50), NONE, "inconclusive", "inconclusive"),
    ],
)
def test_a_check_of_requests(check, new, stable, on_the_way, at_the_end):
    assert (checked(check, new, stable).verdict, checked(check, new, stable, LAST).verdict) == (on_the_way, at_the_end)


@pytest.mark.parametrize("outcome", ["5xx", "4xx", "noAnswer"])
def test_every_outcome_can_be_checked(outcome):
    new = replace(requests(10_000), outcomes={outcome: 2000})
    assert checked(OutcomeCheck("errors", outcome, most=0.01), new).verdict == "fail"


def test_a_result_keeps_its_numbers():
    found = checked(TWICE, requests(50_000, 1500), requests(50_000, 500))
    assert (found.value, found.bound, found.stable, found.requests) == (0.03, 0.015, 0.01, 50_000)
    assert found.sentence == "5xx: 3 % of 50000 requests; at most 1.5 %: fail"
    slow = checked(EITHER, requests(20_000, seconds=0.5), requests(20_000, seconds=0.28))
    assert (slow.value, slow.stable) == (pytest.approx(0.5, rel=0.02), pytest.approx(0.28, rel=0.02))
    assert slow.bound == pytest.approx(1.2 * slow.stable)


def test_more_checks_and_steps_make_each_verdict_surer():
    """A release with ten checks must not abort equal versions ten times as often."""
    new = requests(2000, 41)
    assert checked(ERRORS, new).verdict == "fail"
    others = tuple(replace(ERRORS, name=f"errors {number}") for number in range(100))
    seen = ReleaseObservation(200, "v2", {}, {}, statistics=StepStatistics(100, 195, NONE, new))
    found = check_results(ReleaseRules(STEPS, others), FIRST, STATE, seen)
    assert {one.verdict for one in found} == {"inconclusive"}
    assert FALSE_ALARM <= 0.02


def test_a_mirror_step_is_measured_by_mirrored_requests():
    statistics = StepStatistics(100, 195, requests(), NONE, requests(failed=4000))
    seen = ReleaseObservation(200, "v2", {}, {}, statistics=statistics)
    rules = ReleaseRules((ReleaseStep(mirror=10),), (ERRORS,))
    assert check_results(rules, 0, replace(STATE, weight=0), seen)[0].verdict == "fail"


QUERY = ExternalCheck("clicks", "prometheus", least=0.03)


@pytest.mark.parametrize(
    ("check", "reading", "verdict"),
    [
        (QUERY, ExternalReading(190, "value", 0.05), "pass"),
        (QUERY, ExternalReading(190, "value", 0.03), "pass"),
        (QUERY, ExternalReading(190, "value", 0.02), "inconclusive"),
        (QUERY, ExternalReading(190, "value", math.nan), "inconclusive"),
        (QUERY, ExternalReading(190, "value"), "inconclusive"),
        (QUERY, ExternalReading(130, "value", 0.05), "inconclusive"),
        (QUERY, ExternalReading(250, "value", 0.05), "inconclusive"),
        (QUERY, None, "inconclusive"),
        (ExternalCheck("gate", "webhook"), ExternalReading(110, "passed"), "pass"),
        (ExternalCheck("gate", "webhook"), ExternalReading(110, "failed", sentence="no"), "fail"),
        (ExternalCheck("gate", "job"), ExternalReading(110, "pending"), "inconclusive"),
        (ExternalCheck("gate", "job"), ExternalReading(90, "passed"), "inconclusive"),
    ],
    ids=[
        "within",
        "at the bound",
        "outside once",
        "no number",
        "no value",
        "old",
        "of the future",
        "none",
        "passed",
        "failed",
        "pending",
        "of the step before",
    ],
)
def test_what_another_system_says(check, reading, verdict):
    assert checked(check, reading=reading).verdict == verdict


GATE = ExternalCheck("gate", "webhook")


def test_what_a_webhook_or_a_job_has_decided_stays_for_the_whole_step():
    decided = checked(GATE, reading=ExternalReading(110, "passed", sentence="passed: fine"))
    state = replace(STATE, results=(decided,))
    for reading in (None, ExternalReading(190, "failed"), ExternalReading(190, "pending")):
        assert checked(GATE, reading=reading, state=state) == decided
    assert decided.is_final and not checked(GATE, reading=ExternalReading(110, "pending")).is_final
    later = replace(state, since=150)
    assert checked(GATE, reading=ExternalReading(190, "failed"), state=later).verdict == "fail"
    query = ExternalCheck("gate", "prometheus", most=1)
    assert checked(query, reading=ExternalReading(190, "value", 3.0), state=state).failures == 1


def test_a_job_is_of_the_steps_below_100_per_cent_alone():
    seen = ReleaseObservation(200, "v2", {}, {})
    rules = ReleaseRules(STEPS, (GATE, ExternalCheck("load", "job")))
    assert [[one.name for one in check_results(rules, index, STATE, seen)] for index in (0, 1, 2)] == [
        ["gate", "load"],
        ["gate", "load"],
        ["gate"],
    ]


def test_a_query_fails_at_its_second_reading_in_a_row_and_not_at_a_second_look_at_one():
    state, verdicts = STATE, []
    for at, value in [(150, 0.01), (150, 0.01), (160, 0.05), (170, 0.01), (180, 0.01)]:
        found = checked(QUERY, reading=ExternalReading(at, "value", value), state=state)
        state = replace(state, results=(found,))
        verdicts.append(found.verdict)
    assert verdicts == ["inconclusive", "inconclusive", "pass", "inconclusive", "fail"]


def test_statistics_are_made_of_rows(stats_row):
    found = version_statistics([stats_row(ok=90, limited=50, serverError=6, timeout=2), stats_row(clientError=2)])
    assert (found.requests, dict(found.outcomes)) == (100, {"5xx": 8, "4xx": 2, "noAnswer": 0})
    assert found.latency == {250: 2}


@pytest.mark.parametrize(
    ("check", "bad", "good"),
    [(ERRORS, requests(50, 40), requests(50, 0)), (SLOW, requests(400, seconds=0.9), requests(400, seconds=0.1))],
)
def test_what_gateway_pods_count_is_enough_to_fail_and_passes_nothing(check, bad, good):
    def verdict(counts: StepStatistics | None, statistics: StepStatistics | None = None) -> str:
        seen = ReleaseObservation(200, "v2", {}, {}, statistics=statistics, counts=counts)
        return str(check_results(ReleaseRules(STEPS, (check,)), FIRST, STATE, seen)[0].verdict)

    def step(new: VersionStatistics, since: float = 100, until: float = 199) -> StepStatistics:
        return StepStatistics(since, until, new, new=new)

    assert verdict(step(bad)) == "fail"
    assert verdict(step(bad), step(good, until=180)) == "fail", "rows come later"
    assert verdict(step(good)) == "inconclusive"
    assert verdict(step(good), step(good)) == "pass"
    assert verdict(step(good), step(bad)) == "fail"
    assert verdict(step(bad, since=99)) == "inconclusive", "of the step before"
    assert verdict(step(bad, until=139)) == "inconclusive", "too old"


def test_two_sources_share_the_chance_of_a_false_alarm():
    edge = StepStatistics(100, 190, NONE, requests(1000, 25))
    verdicts = []
    for counts in (None, StepStatistics(100, 190)):
        seen = ReleaseObservation(200, "v2", {}, {}, statistics=edge, counts=counts)
        verdicts.append(str(check_results(ReleaseRules(STEPS, (ERRORS,)), FIRST, STATE, seen)[0].verdict))
    assert verdicts == ["fail", "inconclusive"]
