from dataclasses import replace
from fractions import Fraction

import pytest

from collectors.autoscalers import deployment_of, targets, usage
from istio_templates.documents.autoscale import VersionAutoscale
from ratelimiter.autoscaler import Scaler, declared_twice, disagreement, own_scaler
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


def own(*signals, most=10):
    return own_scaler(VersionAutoscale.model_validate({"max": most, "signals": signals or [{"name": "demand"}]}))


def test_a_ceiling_beyond_max_names_the_field_of_the_document():
    assert disagreement(with_ceiling(200), LOADS, {"v1": own()}) is None
    reason, said = disagreement(with_ceiling(201), LOADS, {"v1": own()})
    assert reason == "CeilingUnreachable"
    assert "201/s" in said and "200/s" in said and said.endswith("lower the ceiling or raise autoscale.max")


def test_two_autoscalers_are_named_by_their_fields_and_a_versions_own_ceiling_by_the_version():
    loads = tuple(replace(LOADS[0], name=name, share=Fraction(1, 2)) for name in ("v1", "v2"))
    _, said = disagreement(with_ceiling(401), loads, {"v1": own(), "v2": Scaler("s", 10)})
    assert said.endswith("raise autoscale.max and maxReplicas")
    _, said = disagreement(replace(with_ceiling(201), version="v1"), LOADS, {"v1": own()})
    assert said.startswith("the ceiling of version v1 of 201/s")


CPU, LATENCY = {"name": "cpu", "target": "70%"}, {"name": "latency", "target": "80ms", "weight": 1}


@pytest.mark.parametrize("signals", [[CPU], [CPU, LATENCY], [CPU, {"name": "demand", "weight": 0, "guard": False}]])
def test_signals_of_usage_alone_hide_what_is_refused(signals):
    reason, said = disagreement(TERMS, LOADS, {"v1": own(*signals)})
    assert reason == "RefusalsHidden"
    assert "autoscale of version v1 looks at cpu" in said and "20/s per replica" in said
    assert said.endswith("add {name: demand, target: 80%} to its signals")


@pytest.mark.parametrize(
    "more",
    [{"name": "demand"}, {"name": "concurrency", "target": 5}, {"name": "queue", "target": 5, "prometheus": "sum(q)"}],
)
def test_a_signal_of_requests_beside_them_is_fine(more):
    assert disagreement(TERMS, LOADS, {"v1": own(CPU, more)}) is None


def test_nothing_is_hidden_where_nothing_is_refused_or_nothing_comes():
    assert disagreement(TERMS, LOADS, {"v1": own(CPU)}, refuses=False) is None
    assert disagreement(TERMS, (replace(LOADS[0], share=Fraction(0)),), {"v1": own(CPU)}) is None


def test_an_autoscaler_of_others_on_cpu_alone_hides_what_is_refused():
    reason, said = disagreement(TERMS, LOADS, {"v1": Scaler("theirs", 10, usage=("cpu", "memory"))})
    assert reason == "RefusalsHidden"
    assert "autoscaler theirs looks at cpu, memory alone" in said and "{name: demand, target: 80%}" in said


@pytest.mark.parametrize(
    ("metrics", "found"),
    [
        ([{"type": "Resource", "resource": {"name": "cpu"}}], ("cpu",)),
        (
            [
                {"type": "Resource", "resource": {"name": "memory"}},
                {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "model"}},
            ],
            ("memory", "cpu"),
        ),
        (None, ("cpu",)),
        (
            [{"type": "Resource", "resource": {"name": "cpu"}}, {"type": "Pods", "pods": {"metric": {"name": "rps"}}}],
            (),
        ),
        ([{"type": "Resource", "resource": "odd"}], ()),
        ([{}], ()),
    ],
)
def test_usage_is_what_an_autoscaler_looks_at_if_that_is_all(metrics, found):
    assert usage({"spec": {"metrics": metrics}}) == found
