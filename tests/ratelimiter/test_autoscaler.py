from dataclasses import replace
from fractions import Fraction

import pytest

from collectors.autoscalers import deployment_of, targets
from ratelimiter.autoscaler import Scaler, declared_twice, disagreement
from ratelimiter.capacity import LimitBounds, VersionLoad
from ratelimiter.debounce import DebounceWindow, Rules
from ratelimiter.target import Terms

RULES = Rules(DebounceWindow(0.2, 1), DebounceWindow(5, 30))
TERMS = Terms(
    "search", "ranker", "search", "id", ("shared",), LimitBounds(Fraction(1)), Fraction(1, 10), RULES, "hold", "hold"
)
LOADS = (VersionLoad("v1", 2, Fraction(20), Fraction(1)),)


def with_ceiling(ceiling):
    return replace(TERMS, bounds=LimitBounds(Fraction(1), Fraction(ceiling)))


def test_a_ceiling_that_max_replicas_reach_is_fine_and_one_beyond_is_told():
    assert disagreement(with_ceiling(200), LOADS, {"v1": Scaler("s", 10)}) is None
    reason, said = disagreement(with_ceiling(201), LOADS, {"v1": Scaler("s", 10)})
    assert reason == "CeilingUnreachable"
    assert "201/s" in said and "200/s" in said


@pytest.mark.parametrize("declared", [{"v1": 2}, {"v1": 0}, {"v0": 3, "v1": 1}])
def test_a_number_of_replicas_that_two_set_is_told_with_both(declared):
    reason, said = declared_twice(declared, {"v1": Scaler("hpa-1", 10)})
    assert reason == "ReplicasDeclared"
    assert "hpa-1" in said and f"workload.replicas: {declared['v1']}" in said and "version v1" in said


@pytest.mark.parametrize("declared", [{}, {"v0": 3}])
def test_a_number_that_one_sets_is_fine(declared):
    assert declared_twice(declared, {"v1": Scaler("hpa-1", 10)}) is None


def test_nothing_is_known_of_a_version_without_an_autoscaler():
    assert disagreement(with_ceiling(9999), LOADS, {}) is None


def test_a_target_above_what_a_replica_may_take_hides_the_demand():
    scaler = Scaler("s", 10, (("http_requests_per_second", Fraction(25)),))
    reason, said = disagreement(TERMS, LOADS, {"v1": scaler})
    assert reason == "TargetAboveLimit"
    assert "25 http_requests_per_second" in said and "20/s" in said
    assert disagreement(TERMS, LOADS, {"v1": replace(scaler, targets=(("rps", Fraction(15)),))}) is None


def test_a_target_that_is_no_rate_of_requests_says_nothing():
    assert disagreement(TERMS, LOADS, {"v1": Scaler("s", 10, (("queue_length", Fraction(100)),))}) is None


def test_targets_are_read_as_kubernetes_writes_them():
    metrics = [
        {
            "type": "Pods",
            "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "12500m"}},
        },
        {"type": "External", "external": {"metric": {"name": "qps"}, "target": {"averageValue": "30"}}},
        {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 60}}},
        {"type": "Pods", "pods": {"metric": {"name": "odd"}, "target": {"averageValue": "many"}}},
    ]
    scaler = {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "ranker-v1"}, "metrics": metrics}}
    assert targets(scaler) == (("rps", Fraction(25, 2)), ("qps", Fraction(30)))
    assert deployment_of(scaler) == "ranker-v1"
    assert deployment_of({"spec": {"scaleTargetRef": {"kind": "StatefulSet", "name": "x"}}}) is None
