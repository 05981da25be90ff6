"""What rules and dashboards ask for is exported under that name, with those labels."""

import re

import pytest

from collectors.access_log.line_counts import LineCounts
from collectors.access_log.outcomes import ADMITTED, OUTCOMES, SERVER_ERRORS
from collectors.request_statistics.request_totals import RequestTotals
from k8s_manager.collector.request_metrics import LINES, RequestMetrics
from k8s_manager.runtime.metrics import REGISTRY
from tests.monitoring.files import RECORDS, queries
from tests.monitoring.kafka_metrics import kafka_registries

SERIES = re.compile(r"(?<![\w:])(tidegate_\w+)(?![\w:])(?:\{([^}]*)\})?")
RECORDED = re.compile(r"\b\w+:\w+:\w+\b")
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
OF_REQUESTS = list(RequestMetrics(RequestTotals(0), LineCounts()).snapshot().collect())
LABELS = {collector._name: set(collector._labelnames) for collector in REGISTRY._collector_to_names}
OF_KAFKA = [metric for registry in kafka_registries() for metric in registry.collect()]
LABELS |= {family.name: set(getattr(family, "_labelnames", ())) for family in [*OF_REQUESTS, *OF_KAFKA]}
EXPORTED = {
    metric.name + suffix: metric
    for metric in [*REGISTRY.collect(), *OF_REQUESTS, *OF_KAFKA]
    for suffix in SUFFIXES[metric.type]
}
NOT_DEMAND = {"closed", "preflight", "noRoute", "rejected"}


@pytest.mark.parametrize("title, query", list(queries()))
def test_every_query_is_about_metrics_that_are_exported(title: str, query: str):
    for name, matchers in SERIES.findall(query):
        assert name in EXPORTED, f"{title} asks for {name}"
        labels = set(re.findall(r"(\w+)[=!]", matchers))
        assert labels <= LABELS[EXPORTED[name].name] | {"instance"}


@pytest.mark.parametrize("title, query", list(queries()))
def test_every_recorded_name_that_is_asked_for_is_recorded(title: str, query: str):
    assert set(RECORDED.findall(query)) <= {rule["record"] for rule in RECORDS}


def test_every_metric_of_requests_limits_and_gateway_pods_is_shown():
    shown = {EXPORTED[name].name for _, query in queries() for name, _ in SERIES.findall(query)}
    wanted = {
        name
        for name in LABELS
        if re.search("request|collector|remote_write|ratelimit|gateway_pod|shadow|override|autoscale", name)
    }
    assert wanted - shown <= {"tidegate_first_request_seconds", "tidegate_k8s_requests", "tidegate_api_requests"}


def outcomes(record: str) -> set[str]:
    """Return the outcomes that a recording rule counts."""
    (expression,) = [rule["expr"] for rule in RECORDS if rule["record"] == record]
    (operator, listed) = re.findall(r'outcome(=~|!~|=)\s*"([^"]*)"', expression)[0]
    return set(OUTCOMES) - set(listed.split("|")) if operator == "!~" else set(listed.split("|"))


def test_rules_count_the_outcomes_that_statistics_count():
    assert outcomes("model:tidegate_demand:rate5m") == {*ADMITTED, "limited"} == set(OUTCOMES) - NOT_DEMAND
    assert outcomes("model:tidegate_admitted:rate5m") == set(ADMITTED)
    assert outcomes("model:tidegate_errors:rate5m") == set(SERVER_ERRORS)
    assert outcomes("model:tidegate_limited:rate5m") == {"limited"}


def test_results_of_lines_that_are_asked_for_exist():
    asked = {result for _, query in queries() for result in re.findall(r'lines_total\{result="(\w+)"', query)}
    assert asked and asked <= set(LINES)
