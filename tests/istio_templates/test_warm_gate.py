import json

import pytest

from istio_templates.workloads.warm_gate import GATE, VERDICT, WarmupResult, is_proved, running_container, verdict_of

GOOD = WarmupResult("u1", "c1", "plan", "Verified", "now")


def pod(note=None, *containers, gated=True):
    gates = {"readinessGates": [{"conditionType": GATE}]} if gated else {}
    statuses = [{"name": name, "containerID": identity, "state": state} for name, identity, state in containers]
    annotations = {} if note is None else {VERDICT: note}
    return {
        "metadata": {"uid": "u1", "annotations": annotations},
        "spec": gates,
        "status": {"containerStatuses": statuses},
    }


RUNS = {"running": {}}


def test_a_verdict_holds_for_the_container_that_it_names():
    assert is_proved(pod(GOOD.text(), ("model", "c1", RUNS)))
    assert not is_proved(pod(GOOD.text(), ("model", "c2", RUNS)))
    assert not is_proved(pod(GOOD.text(), ("model", "c1", {"waiting": {}})))
    assert not is_proved(pod(None, ("model", "c1", RUNS)))
    assert is_proved(pod(None, ("model", "c1", RUNS), gated=False))


def test_without_a_container_called_model_a_restart_of_any_makes_the_pod_cold():
    both = WarmupResult("u1", "a1,s1", "plan", "Verified", "now").text()
    assert is_proved(pod(both, ("a-log", "a1", RUNS), ("server", "s1", RUNS)))
    assert not is_proved(pod(both, ("a-log", "a1", RUNS), ("server", "s2", RUNS)))
    assert not is_proved(pod(both, ("a-log", "a1", RUNS), ("server", "s1", {"terminated": {}})))
    assert running_container(pod(None, ("a-log", "a1", RUNS), ("model", "m1", RUNS))) == "m1"


@pytest.mark.parametrize(
    "note",
    ["", "null", "[]", "{}", "[" * 4000, "[" * 100_000, json.dumps({"uid": 1}), GOOD.text().replace('"seconds":0.0', '"seconds":"x"'), 5],
)  # fmt: skip
def test_whatever_somebody_writes_there_is_no_verdict(note):
    assert verdict_of(pod(note, ("model", "c1", RUNS))) is None
