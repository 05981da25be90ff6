"""What a pod counts for, by phase, readiness and deletion."""

import pytest

from collectors.replicas import ReadyPods, pod_seen
from warmup.pods import gated_pod

LABELS = {"app": "ranker"}


def pod(phase: str | None = "Running", ready: bool = True, **metadata) -> dict:
    """Return a pod; one that was evicted may keep the readiness that it had."""
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"phase": phase, "podIP": "10.0.0.1", "conditions": conditions} if phase else {"conditions": conditions}
    return {"metadata": {"name": "p", "namespace": "a", "uid": "1", "labels": LABELS, **metadata}, "status": status}


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
@pytest.mark.parametrize("ready", [True, False])
def test_a_pod_that_has_ended_is_not_ready_whatever_its_condition_says(phase, ready):
    found = pod_seen(pod(phase, ready))
    assert found.ended and not found.ready
    assert ReadyPods([found]).count(frozenset(LABELS.items())) == 0
    assert gated_pod(pod(phase, ready)).leaving


@pytest.mark.parametrize("phase", ["Running", "Unknown", None])
def test_a_pod_that_runs_or_may_run_counts(phase):
    found = pod_seen(pod(phase))
    assert found.ready and not found.ended
    assert ReadyPods([found]).count(frozenset(LABELS.items())) == 1


def test_a_pod_that_leaves_is_no_replica():
    found = pod_seen(pod(deletionTimestamp="now"))
    assert found.leaving and ReadyPods([found]).count(frozenset(LABELS.items())) == 0


@pytest.mark.parametrize("odd", [{"status": None}, {"status": {"conditions": None}}, {"status": {"conditions": [{}]}}])
def test_a_pod_without_a_status_is_not_ready(odd):
    assert not pod_seen({**pod(), **odd}).ready
