"""The scrape configuration: promtool takes it, and each job finds its targets through the Kubernetes API."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.files import ROOT, SCRAPE
from tests.monitoring.targets import config, target
from tests.support.prometheus import needs_prometheus, promtool

JOBS = {job["job_name"]: job for job in SCRAPE["scrape_configs"]}
META = {"pod": ("pod_", "namespace"), "node": ("node_",)}
"""What discovery says of a target, by role."""
each_job = pytest.mark.parametrize("job", JOBS.values(), ids=lambda job: job["job_name"])


@needs_prometheus
def test_promtool_takes_the_configuration_with_its_rules(tmp_path: Path):
    pod = {"metadata": {"name": "a", "labels": {"tidegate.dev/gateway": "shared"}}}
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config({key: [target("a:1", pod)] for key in JOBS})))
    code, said = promtool("check", "config", "prometheus.yaml", folder=tmp_path)
    assert code == 0 and "2 rule files found" in said, said


@each_job
def test_a_job_finds_its_targets_by_what_its_role_says_of_them(job: dict[str, Any]):
    (discovery,) = job["kubernetes_sd_configs"]
    assert discovery.keys() <= {"role", "namespaces"}
    read = [name for rule in job["relabel_configs"] for name in rule["source_labels"]]
    allowed = tuple(f"__meta_kubernetes_{start}" for start in META[discovery["role"]])
    assert read and all(name.startswith(allowed) for name in read)


@each_job
def test_a_job_of_pods_keeps_some_of_them_only(job: dict[str, Any]):
    kept = [rule["regex"] for rule in job["relabel_configs"] if rule.get("action") == "keep"]
    assert bool(kept) is (job["kubernetes_sd_configs"][0]["role"] == "pod")


def test_the_operators_page_names_every_job():
    rows = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs" / "operate.md").read_text(), re.M)
    assert JOBS.keys() <= set(rows)


def test_labels_that_rules_join_are_those_that_kube_state_metrics_is_told_to_show():
    page = (ROOT / "docs" / "operate.md").read_text()
    rules = (ROOT / "manifests" / "monitoring" / "rules.yaml").read_text()
    (allowed,) = re.findall(r"--metric-labels-allowlist=(\S+)`", page)
    shown = {re.sub(r"[./]", "_", name) for name in re.findall(r"tidegate\.dev/\w+", allowed)}
    assert shown == set(re.findall(r"label_(tidegate_dev_\w+)", rules))
