"""What counts as a difference, and what an API server or somebody else may add without one."""

import pytest

from k8s_manager.drift.compare import differences, is_in_line

POLICY = {"kind": "NetworkPolicy", "metadata": {}, "spec": {"podSelector": {}, "ingress": [{"from": []}]}}
SERVICE = {"kind": "Service", "metadata": {}, "spec": {"selector": {"app": "a"}, "ports": [{"name": "h", "port": 80}]}}


def pods(**container) -> dict:
    template = {"spec": {"containers": [{"name": "model", **container}]}}
    return {"kind": "Deployment", "metadata": {}, "spec": {"template": template}}


def first(*names: str) -> dict:
    template = {"spec": {"initContainers": [{"name": name} for name in names]}}
    return {"kind": "Deployment", "metadata": {}, "spec": {"template": template}}


@pytest.mark.parametrize(
    "wanted, live",
    [
        (POLICY, {**POLICY, "spec": {**POLICY["spec"], "podSelector": {"matchLabels": {"no": "pod"}}}}),
        (SERVICE, {**SERVICE, "spec": {**SERVICE["spec"], "selector": {"app": "a", "no": "pod"}}}),
        (pods(env=[{"name": "A", "value": "1"}]), pods(env=[{"name": "B", "value": "1"}])),
        (pods(env=[{"name": "A", "value": "1"}]), pods(env=[{"name": "A", "value": "1", "valueFrom": {"x": {}}}])),
        (pods(ports=[8080]), pods(ports=[8081])),
        (pods(args=["1e3"]), pods(args=["1000"])),
        (pods(args=["3e99999999"]), pods(args=["4e99999999"])),
        (pods(env=[{"name": "A", "value": "1Ki"}]), pods(env=[{"name": "A", "value": "1024"}])),
        (pods(resources={"limits": {"cpu": "1"}}), pods(resources={"limits": {"cpu": "1001m"}})),
        (pods(env=["A=B"]), pods(env=[{"name": "A", "value": "B"}])),
        (pods(env=[{"name": "A"}]), pods(env=["A=B"])),
        (pods(env=[None]), pods(env=[])),
        (first("agent", "files"), first("files", "agent")),
        (first("agent", "files"), first("agent")),
    ],
)
def test_a_difference_is_one_whatever_stands_there(wanted, live):
    assert not is_in_line(wanted, live) and list(differences(wanted, live))


@pytest.mark.parametrize(
    "wanted, live",
    [
        (SERVICE, {**SERVICE, "spec": {**SERVICE["spec"], "clusterIP": "10.0.0.1"}}),
        (SERVICE, {**SERVICE, "spec": {**SERVICE["spec"], "ports": [{"name": "h", "port": 80, "protocol": "TCP"}]}}),
        (pods(env=[{"name": "A", "value": "1"}]), pods(env=[{"name": "B", "value": "2"}, {"name": "A", "value": "1"}])),
        (pods(env=[]), pods()),
        (pods(resources={"limits": {"cpu": "1000m"}}), pods(resources={"limits": {"cpu": "1"}})),
        (first("agent", "files"), first("mesh", "agent", "files")),
    ],
)
def test_what_others_add_or_spell_otherwise_is_none(wanted, live):
    assert is_in_line(wanted, live) and not list(differences(wanted, live))
