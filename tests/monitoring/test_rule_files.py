"""Rules, alerts and the scrape configuration as promtool judges them, and what each alert has to say."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.files import ALERTS, MONITORING, RECORDS, ROOT, TESTS
from tests.support.prometheus import needs_prometheus, promtool

OPERATE = (ROOT / "docs" / "operate.md").read_text()
ANCHORS = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", OPERATE, re.M)}
LEVELS = "namespace|pod|model|tenant|gateway"


def cases(alert: str) -> list[dict[str, Any]]:
    """Return what promtool tries of an alert."""
    tests = [test for file in TESTS for test in yaml.safe_load((MONITORING / file).read_text())["tests"]]
    return [case for test in tests for case in test["alert_rule_test"] if case["alertname"] == alert]


@needs_prometheus
@pytest.mark.parametrize("file", ["rules.yaml", "alerts.yaml"])
def test_promtool_takes_the_rules(file: str):
    code, said = promtool("check", "rules", file, folder=MONITORING)
    assert code == 0 and "SUCCESS" in said, said


@needs_prometheus
@pytest.mark.parametrize("file", TESTS)
def test_alerts_fire_and_stay_silent_as_their_tests_say(file: str):
    code, said = promtool("test", "rules", file, folder=MONITORING)
    assert code == 0 and "SUCCESS" in said, said


@needs_prometheus
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ratio_rate5m > 0.2", "ratio_rate5m > 0.6"),
        ("> 2 * avg", "> 20 * avg"),
        ("lag_seconds > 60", "lag_seconds > 1"),
    ],
)
def test_a_rule_that_is_wrong_fails_its_tests(tmp_path: Path, before: str, after: str):
    for file in MONITORING.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    right = (tmp_path / "alerts.yaml").read_text()
    assert before in right
    (tmp_path / "alerts.yaml").write_text(right.replace(before, after))
    code, said = promtool("test", "rules", "request-alerts.test.yaml", folder=tmp_path)
    assert code == 1 and "FAILED" in said


@pytest.mark.parametrize("rule", RECORDS, ids=lambda rule: rule["record"])
def test_a_recorded_name_says_level_metric_and_operation(rule: dict[str, Any]):
    assert re.fullmatch(
        rf"({LEVELS}):[a-z0-9_]+:(rate5m|ratio_rate5m|p\d\d_rate5m|sum|max|avg_ratio|info)", rule["record"]
    )
    assert "labels" not in rule


def test_no_name_is_recorded_twice():
    assert len({rule["record"] for rule in RECORDS}) == len(RECORDS)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_to_do_and_is_tried(rule: dict[str, Any]):
    said = rule["annotations"]
    assert rule["alert"].startswith("Tidegate") and rule["alert"] in OPERATE
    assert said["summary"] and (said.get("remedy") or said["description"])
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    tried = cases(rule["alert"])
    assert any(case["exp_alerts"] for case in tried)
    assert any(case["exp_alerts"] == [] for case in tried)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_the_runbook_of_an_alert_is_a_section_of_the_operators_page(rule: dict[str, Any]):
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "docs/operate.md" and anchor == rule["alert"].lower() and anchor in ANCHORS


@pytest.mark.parametrize(
    "rule", [rule for rule in ALERTS if "remedy" not in rule["annotations"]], ids=lambda r: r["alert"]
)
def test_the_summary_of_an_alert_is_the_same_for_whatever_it_is_about(rule: dict[str, Any]):
    assert "{{" not in rule["annotations"]["summary"] and rule["for"]
