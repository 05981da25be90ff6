"""From what a document says to the rules of a decision: units, targets of one replica, guards, schedules."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents.autoscale import VersionAutoscale
from ratelimiter.autoscale.decision import Hold, ScaleMemory, ScaleObservation, decide
from ratelimiter.autoscale.document_rules import rules_at, rules_of, targetless
from ratelimiter.autoscale.schedule import is_in_force, least_at
from ratelimiter.autoscale.signals import SignalReading, SignalTarget

ALL: list[dict[str, Any]] = [
    {"name": "demand", "target": "80%"},
    {"name": "concurrency", "target": 4},
    {"name": "cpu", "target": "70%", "weight": 0.5},
    {"name": "memory", "target": "90%", "guard": True},
    {"name": "gpu", "target": "85%", "guard": False, "weight": 0.2},
    {"name": "gpuMemory", "target": "95%", "weight": 0},
    {"name": "latency", "target": "80ms", "quantile": 0.95, "weight": 0.3},
    {"name": "queue", "prometheus": "sum(waiting)", "target": 5},
    {"name": "tokens", "prometheus": "sum(rate(tokens[1m]))", "target": 900, "guard": True},
]
MONDAY = datetime(2026, 11, 30, tzinfo=UTC)


def document(**given: Any) -> VersionAutoscale:
    return VersionAutoscale.model_validate({"max": 40, **given})


def test_every_signal_has_the_target_of_one_replica():
    assert rules_of(document(signals=ALL), Fraction(20)).signals == (
        SignalTarget("demand", "demand", 16.0, guard=True),
        SignalTarget("concurrency", "concurrency", 4.0, guard=True),
        SignalTarget("cpu", "cpu", 0.7, 0.5, guard=True),
        SignalTarget("memory", "memory", 0.9, guard=True),
        SignalTarget("gpu", "gpu", 0.85, 0.2),
        SignalTarget("gpuMemory", "gpuMemory", 0.95, 0.0),
        SignalTarget("latency", "latency", 0.08, 0.3),
        SignalTarget("queue", "queue", 5.0, guard=True),
        SignalTarget("tokens", "prometheus", 900.0, guard=True),
    )


def test_demand_without_the_capacity_of_a_replica_is_missing_and_says_what_to_state():
    found = document(signals=ALL)
    assert targetless(found, Fraction(20)) == {}
    (said,) = targetless(found, None).values()
    assert "perReplicaQps" in said and "concurrency" in said
    seen = ScaleObservation(0.0, 3, 3, {"demand": SignalReading(1e6, 0.0)})
    decision, _ = decide(rules_of(document(), None), ScaleMemory(), seen)
    assert (decision.replicas, decision.holds, decision.weighing.missing) == (3, (Hold.NO_SIGNAL,), ("demand",))


@pytest.mark.parametrize(
    ("hours", "least"), [(7.99, 2), (8, 5), (12, 9), (12.99, 9), (13, 5), (17.99, 5), (18, 2), (24 * 5 + 9, 2)]
)
def test_schedules_raise_the_least_number_for_a_time(hours: float, least: int):
    office = {"cron": "0 8 * * 1-5", "length": "10h", "min": 5}
    noon = {"cron": "0 12 * * 1-5", "length": "1h", "min": 9}
    found = document(min=2, schedules=[office, noon])
    moment = MONDAY + timedelta(hours=hours)
    assert least_at(found, moment) == rules_at(found, 20, moment).least == least
    assert rules_of(found, 20).least == 2


def test_a_schedule_lasts_over_midnight_and_up_to_a_day():
    (found,) = document(schedules=[{"cron": "0 20 * * 0", "length": "24h", "min": 5}]).schedules
    began = MONDAY - timedelta(hours=4)
    ends = began + timedelta(days=1)
    second = timedelta(seconds=1)
    assert [is_in_force(found, moment) for moment in (began - second, began, ends - second, ends)] == [0, 1, 1, 0]


def test_replicas_of_a_schedule_come_at_its_beginning_and_stay_while_it_lasts():
    found = document(min=1, schedules=[{"cron": "0 8 * * *", "length": "1h", "min": 6}])
    seen = ScaleObservation(0.0, 1, 1, {"demand": SignalReading(0.0, 0.0)})
    at_night = decide(rules_at(found, 20, MONDAY), ScaleMemory(), seen)[0]
    at_eight = decide(rules_at(found, 20, MONDAY + timedelta(hours=8)), ScaleMemory(), seen)[0]
    assert (at_night.replicas, at_eight.replicas, at_eight.holds[-1]) == (1, 6, Hold.AT_LEAST)


@given(st.integers(0, 23), st.integers(60, 86_400), st.integers(0, 8), st.integers(0, 3 * 86_400))
def test_a_schedule_never_lowers_and_never_goes_beyond_the_most(hour: int, length: int, least: int, passed: int):
    schedule = {"cron": f"0 {hour} * * *", "length": f"{length}s", "min": least}
    found = document(min=2, max=8, schedules=[schedule])
    moment = MONDAY + timedelta(seconds=passed)
    since = (passed - hour * 3600) % 86_400
    assert least_at(found, moment) == (max(2, least) if since < length else 2)
