"""What alerts and the dashboard ask for is exported under that name, with those labels."""

import json
import re
from pathlib import Path

import pytest
import yaml

from k8s_manager.runtime.metrics import REGISTRY

MONITORING = Path(__file__).parents[3] / "manifests" / "monitoring"
SERIES = re.compile(r"\b(tidegate_\w+)(?:\{([^}]*)\})?")
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
EXPORTED = {metric.name + suffix: metric for metric in REGISTRY.collect() for suffix in SUFFIXES[metric.type]}
LABELS = {collector._name: set(collector._labelnames) for collector in REGISTRY._collector_to_names}


def alerts():
    return [
        rule for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
    ]


def queries():
    yield from ((rule["alert"], rule["expr"]) for rule in alerts())
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", []))


@pytest.mark.parametrize("title, query", list(queries()))
def test_every_query_is_about_metrics_that_are_exported(title, query):
    asked = SERIES.findall(query)
    assert asked
    for name, matchers in asked:
        assert name in EXPORTED, f"{title} asks for {name}"
        labels = set(re.findall(r"(\w+)=", matchers))
        assert labels <= LABELS[EXPORTED[name].name] | {"instance"}


def test_every_metric_of_limits_and_gateway_pods_is_shown():
    shown = {EXPORTED[name].name for _, query in queries() for name, _ in SERIES.findall(query)}
    wanted = {
        metric.name for metric in REGISTRY.collect() if re.search("ratelimit|gateway_pod|shadow|override", metric.name)
    }
    assert wanted <= shown


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_to_do_and_is_tried(rule):
    assert rule["annotations"]["summary"] and rule["annotations"]["remedy"]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    tried = yaml.safe_load((MONITORING / "alerts.test.yaml").read_text())["tests"]
    cases = [case for test in tried for case in test["alert_rule_test"] if case["alertname"] == rule["alert"]]
    assert any(case["exp_alerts"] for case in cases)
    assert (MONITORING.parents[1] / "docs" / "operate.md").read_text().count(rule["alert"])
