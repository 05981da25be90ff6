"""The embedded Deployment controller tells progress as Kubernetes' own does."""

from datetime import UTC, datetime, timedelta

from k8s_manager.standalone.node.controllers import _conditions

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def deployment(status: dict | None = None, **spec) -> dict:
    return {"spec": {"replicas": 2, **spec}, "status": status or {}}


def counts(replicas: int, updated: int, available: int) -> dict:
    return {"replicas": replicas, "updatedReplicas": updated, "availableReplicas": available}


def said(obj: dict, found: dict, new_ready: int, now: datetime = NOW) -> dict:
    conditions = _conditions(obj, found, new_ready, now)
    obj["status"] = {**found, "conditions": conditions}
    return {c["type"]: (c["status"], c["reason"]) for c in conditions}


def test_a_rollout_that_makes_no_progress_in_time_has_failed_until_it_is_complete():
    rolling = deployment(progressDeadlineSeconds=60)
    assert said(rolling, counts(3, 1, 2), 0)["Progressing"] == ("True", "ReplicaSetUpdated")
    assert said(rolling, counts(3, 1, 2), 0, NOW + timedelta(seconds=59))["Progressing"][0] == "True"
    late = said(rolling, counts(3, 1, 2), 0, NOW + timedelta(seconds=61))
    assert late["Progressing"] == ("False", "ProgressDeadlineExceeded")
    assert late["Available"] == ("True", "MinimumReplicasAvailable")
    mended = said(rolling, counts(2, 2, 2), 2, NOW + timedelta(seconds=90))
    assert mended["Progressing"] == ("True", "NewReplicaSetAvailable")


def test_every_change_of_the_counts_is_progress():
    rolling = deployment(progressDeadlineSeconds=60)
    said(rolling, counts(3, 1, 2), 0)
    said(rolling, counts(3, 2, 2), 1, NOW + timedelta(seconds=50))
    assert said(rolling, counts(3, 2, 2), 1, NOW + timedelta(seconds=100))["Progressing"][0] == "True"


def test_a_replica_that_is_lost_later_is_no_new_rollout():
    steady = deployment()
    said(steady, counts(2, 2, 2), 2)
    lost = said(steady, counts(2, 2, 1), 1)
    assert lost == {
        "Progressing": ("True", "NewReplicaSetAvailable"),
        "Available": ("False", "MinimumReplicasUnavailable"),
    }
