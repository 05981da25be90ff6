"""What `versions[].autoscale` takes, and what it says of the rest: the field, what is wrong, what would be right."""

from typing import Any

import pytest

from istio_templates.documents import parse
from istio_templates.documents.autoscale import VersionAutoscale
from istio_templates.documents.autoscale_signal import KINDS, Signal
from istio_templates.errors import Invalid
from tests.support.documents import model

CPU = {"name": "cpu", "target": "70%"}
QUEUE = {"name": "queue", "prometheus": "sum(waiting)", "target": 5}
FIELD = "spec.versions[0].autoscale"


def scaled(**autoscale: Any) -> dict[str, Any]:
    version = {"name": "v1", "workload": {"image": "example.com/ranker:1"}}
    return model(versions=[{**version, "autoscale": {"max": 4, **autoscale}}])


def read(*signals: dict[str, Any], **more: Any) -> tuple[Signal, ...]:
    """Return the signals of a document that is read."""
    spec: Any = parse(scaled(signals=list(signals), **more)).spec
    found: VersionAutoscale = spec.versions[0].autoscale
    return found.signals


def problems(**autoscale: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        parse(scaled(**autoscale))
    return {problem.field: problem.message for problem in refused.value.problems}


@pytest.mark.parametrize(
    ("given", "figure", "is_guard"),
    [
        ({"name": "demand"}, 0.8, True),
        ({"name": "demand", "target": "62.5%"}, 0.625, True),
        ({"name": "concurrency", "target": 2}, 2.0, True),
        ({"name": "cpu", "target": "150%"}, 1.5, True),
        ({"name": "memory", "target": "90%", "guard": True}, 0.9, True),
        ({"name": "gpu", "target": "85%"}, 0.85, True),
        ({"name": "gpuMemory", "target": "90%", "guard": True}, 0.9, True),
        ({"name": "latency", "target": "80ms", "quantile": 0.99, "weight": 1}, 0.08, False),
        ({"name": "queue", "prometheus": "sum(waiting)", "target": 0.5}, 0.5, True),
        ({"name": "prometheus", "prometheus": "sum(a)", "target": 5, "weight": 1}, 5.0, False),
        ({"name": "tokens", "prometheus": "sum(b)\n  + 1", "target": 100, "guard": True}, 100.0, True),
    ],
    ids=lambda value: value.get("name") if isinstance(value, dict) else "",
)
def test_each_signal_has_its_unit_and_its_own_default_of_a_guard(given, figure, is_guard):
    (signal,) = read(given)
    assert (signal.figure, signal.is_guard) == (figure, is_guard)
    assert signal.kind == (given["name"] if given["name"] in KINDS else "prometheus")


def test_the_formula_of_the_design_is_read():
    found = read(
        {"name": "demand", "target": "80%"},
        {"name": "cpu", "target": "70%", "weight": 0.5},
        {"name": "latency", "quantile": 0.95, "target": "80ms", "weight": 0.5},
        {"name": "queue", "prometheus": "sum(vllm:num_requests_waiting)", "target": 5, "guard": True},
    )
    assert [(one.kind, one.weight, one.is_guard) for one in found] == [
        ("demand", None, True), ("cpu", 0.5, True), ("latency", 0.5, False), ("queue", None, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("signal", "field", "said"),
    [
        ({"name": "cpuu", "target": "70%"}, "name", "cpuu is no signal without a prometheus query; write one, or one of demand, c"),
        ({"name": "cpu", "target": "70%", "prometheus": "up"}, "prometheus", "cpu has a source of its own"),
        ({"name": "queue", "target": 5}, "prometheus", "queue needs a query"),
        ({"name": "cpu"}, "target", "cpu needs one, such as 70%"),
        ({"name": "latency", "weight": 1}, "target", "latency needs one, such as 80ms"),
        ({"name": "demand", "target": "101%"}, "target", "101% is beyond what demand can be held at; write at most 100%"),
        ({"name": "cpu", "target": "1001%"}, "target", "write at most 1000%"),
        ({"name": "gpu", "target": "120%"}, "target", "write at most 100%"),
        ({"name": "cpu", "target": "0%"}, "target", "no share above nothing"),
        ({"name": "cpu", "target": 70}, "target", "no share above nothing; write a string such as 80%"),
        ({"name": "cpu", "target": "70ms"}, "target", "no share above nothing"),
        ({"name": "concurrency", "target": "5"}, "target", "no number above 0"),
        ({"name": "concurrency", "target": 0}, "target", "no number above 0"),
        ({"name": "concurrency", "target": float("nan")}, "target", "no number of JSON"),
        ({"name": "concurrency", "target": float("inf")}, "target", "no number of JSON"),
        ({**QUEUE, "target": -1}, "target", "no number above 0"),
        ({**QUEUE, "target": 10**400}, "target", "beyond 64 bits"),
        ({**QUEUE, "target": 1e12}, "target", "no number above 0"),
        ({"name": "latency", "target": 80, "weight": 1}, "target", "80 is no duration; write a string with its unit"),
        ({"name": "latency", "target": "80", "weight": 1}, "target", "no duration"),
        ({"name": "latency", "target": "0.1ms", "weight": 1}, "target", "not between 1ms and 1h"),
        ({"name": "latency", "target": "2h", "weight": 1}, "target", "not between 1ms and 1h"),
        ({**CPU, "quantile": 0.9}, "quantile", "only latency has one; take it out of cpu"),
        ({"name": "memory", "target": "80%"}, "weight", "memory counts for nothing; give it a weight or guard: true"),
        ({**CPU, "guard": False}, "weight", "cpu counts for nothing"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_signal_is_said_with_what_is_right(signal, field, said):
    assert said in problems(signals=[signal])[f"{FIELD}.signals[0].{field}"]


@pytest.mark.parametrize(
    ("signal", "field", "said"),
    [
        ({"target": "70%"}, "name", "required"),
        ({"name": "a b", "prometheus": "up", "target": 1}, "name", "no name of a signal"),
        ({"name": "n" * 64, "prometheus": "up", "target": 1}, "name", "at most 63"),
        ({"name": "cpu", "target": True}, "target", "no target; write a share such as 80%"),
        ({"name": "cpu", "target": ["70%"]}, "target", "no target"),
        ({"name": "latency", "target": "1s", "quantile": 0.999, "weight": 1}, "quantile", "0.99"),
        ({"name": "latency", "target": "1s", "quantile": 0.4, "weight": 1}, "quantile", "0.5"),
        ({**CPU, "weight": 1.1}, "weight", "1"),
        ({**CPU, "weight": -0.1}, "weight", "0"),
        ({**CPU, "guard": "yes"}, "guard", "boolean"),
        ({**QUEUE, "prometheus": ""}, "prometheus", "no query"),
        ({**QUEUE, "prometheus": "  \n"}, "prometheus", "no query"),
        ({**QUEUE, "prometheus": "up\x00"}, "prometheus", "no query"),
        ({**QUEUE, "prometheus": "u" * 2001}, "prometheus", "at most 2000 characters"),
        ({**CPU, "wieght": 1}, "wieght", "did you mean weight?"),
    ],
)
def test_a_field_of_a_signal_is_named(signal, field, said):
    assert said in problems(signals=[signal])[f"{FIELD}.signals[0].{field}"]


@pytest.mark.parametrize(
    ("autoscale", "field", "said"),
    [
        ({"signals": [CPU, CPU]}, ".signals", "cpu stands there twice; give each signal a name of its own"),
        ({"signals": [{**CPU, "weight": 0.5}, {**QUEUE, "weight": 0.6}]}, ".signals", "weights sum to 1.1; let them sum to 1"),
        ({"signals": [{**CPU, "weight": 0.5}, QUEUE]}, ".signals", "weights sum to 0.5"),
        ({"signals": [{**CPU, "weight": 0, "guard": False}]}, ".signals", "all weights are 0 and no signal is a guard, so nothing counts"),
        ({"min": 0, "signals": [CPU]}, ".signals", "with min 0 one of them has to wake the first replica; add demand, queue or a"),
        ({"min": 0, "signals": [{"name": "concurrency", "target": 5}]}, ".signals", "has to wake the first replica"),
        ({"min": 5, "max": 4}, "", "min 5 and max 4"),
        ({"schedules": [{"cron": "0 8 * * *", "length": "9h", "min": 5}]}, ".schedules[0].min", "5 is above max 4"),
    ],
)  # fmt: skip
def test_signals_are_checked_together(autoscale, field, said):
    assert said in problems(**autoscale)[f"{FIELD}{field}"]


@pytest.mark.parametrize("weights", [(0.3, 0.3, 0.4), (0.1, 0.2, 0.7), (1, 0, 0), (0, 0, 0)])
def test_weights_that_sum_to_one_are_taken_and_none_where_guards_count(weights):
    names = ("a", "b", "c")
    queries = [
        {"name": name, "prometheus": "up", "target": 1, "weight": weight}
        for name, weight in zip(names, weights, strict=True)
    ]
    assert len(read(*queries, CPU)) == 4


def test_there_are_ten_signals_at_most():
    many = [{"name": f"s{number}", "prometheus": "up", "target": 1, "guard": True} for number in range(11)]
    assert len(read(*many[:10])) == 10
    assert "10" in problems(signals=many)[f"{FIELD}.signals"]


@pytest.mark.parametrize(
    ("schedule", "field", "said"),
    [
        ({"cron": "0 8 * *"}, ".cron", "has not five fields; write minute, hour, day of month"),
        ({"cron": "60 8 * * *"}, ".cron", "'60' is no minute; write numbers from 0 to 59"),
        ({"cron": "0 24 * * *"}, ".cron", "'24' is no hour"),
        ({"cron": "0 0 0 * *"}, ".cron", "'0' is no day of month"),
        ({"cron": "0 0 1 13 *"}, ".cron", "'13' is no month"),
        ({"cron": "0 0 * * 8"}, ".cron", "'8' is no day of week"),
        ({"cron": "0 0 * * mon"}, ".cron", "'mon' is no day of week; write *, 5, 1-5, */15"),
        ({"cron": "5-1 0 * * *"}, ".cron", "ranges upwards"),
        ({"cron": "*/0 0 * * *"}, ".cron", "steps from 1 on"),
        ({"cron": "1,,2 0 * * *"}, ".cron", "'' is no minute"),
        ({"cron": "0 0 30 2 *"}, ".cron", "never comes: no such month has that day"),
        ({"cron": "0 " * 200}, ".cron", "has not five fields"),
        ({"length": "25h"}, ".length", "longer than a day"),
        ({"length": "30s"}, ".length", "30s is below a minute"),
        ({"min": -1}, ".min", "greater than or equal to 0"),
        ({"timeZone": "Europe/Berlin"}, ".timeZone", "is unknown"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_named(schedule, field, said):
    right = {"cron": "0 8 * * 1-5", "length": "10h", "min": 3}
    assert parse(scaled(schedules=[right]))
    assert said in problems(schedules=[{**right, **schedule}])[f"{FIELD}.schedules[0]{field}"]


@pytest.mark.parametrize(
    ("limit", "autoscale", "right"),
    [
        ({"perReplicaQps": 20, "fallback": {"cold": "closed"}}, {"min": 0, "max": 3}, True),
        ({"perReplicaQps": 20}, {"min": 0, "max": 3}, False),
        ({"perReplicaQps": 20}, {"min": 1, "max": 3}, True),
        ({"perReplicaQps": 20, "fallback": {"cold": "closed"}}, {"min": 0, "max": 3, "writer": "hpa"}, False),
    ],
)
def test_no_replica_at_all_needs_what_wakes_the_first(limit, autoscale, right):
    versions = [{"name": "v1", "workload": {"image": "example.com/ranker:1"}, "autoscale": autoscale}]
    document = model(versions=versions, rateLimit=limit)
    if right:
        parse(document)
    else:
        with pytest.raises(Invalid, match="min 0"):
            parse(document)


@pytest.mark.parametrize(
    ("version", "field", "said"),
    [
        ({"workload": {"image": "a:1", "replicas": 2}}, ".workload.replicas", "2 and autoscale both say how many"),
        ({"existing": {"labels": {"app": "ranker"}}}, ".autoscale", "needs a workload; who runs existing pods says"),
        ({}, "", "give exactly one of workload and existing"),
    ],
)
def test_autoscale_is_the_only_one_that_says_how_many_there_are(version, field, said):
    with pytest.raises(Invalid) as refused:
        parse(model(versions=[{"name": "v1", "autoscale": {"max": 4}, **version}]))
    assert said in {one.field: one.message for one in refused.value.problems}[f"spec.versions[0]{field}"]
