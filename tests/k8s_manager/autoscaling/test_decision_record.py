"""What an autoscaler is served of a decision, by what the store knows of the version."""

import pytest

from k8s_manager.autoscaling.decision_record import StoredDecision, served_replicas
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import SystemClock
from tests.support.decisions import watched

KINDS = ("Model", "Deployment", "HorizontalPodAutoscaler", "ScaledObject")


def told(decided: int, current: int, holds: tuple[str, ...] = (), **scalers: dict) -> int:
    store = Store(KINDS, SystemClock())
    store.put(watched("Deployment", "ranker-v1", "search", status={"replicas": current}))
    for kind, spec in scalers.items():
        store.put(watched(kind, "ranker-v1", "search", spec=spec))
    return served_replicas(store, "search", "ranker", StoredDecision("v1", decided, "2026-11-30T07:00:00Z", holds))


def told_to_keda(decided: int, current: int, least: int) -> int:
    return told(decided, current, ScaledObject={"minReplicaCount": least})


@pytest.mark.parametrize(("decided", "current"), [(0, 1), (1, 0), (0, 40), (3, 2), (40, 20), (7, 7)])
def test_what_an_autoscaler_sees_is_told_as_it_is(decided, current):
    assert told_to_keda(decided, current, 0) == decided


def test_the_tolerance_of_the_hpa_of_keda_is_taken_into_account():
    assert told_to_keda(21, 20, 2) == 23
    assert told_to_keda(19, 20, 2) == 19 and told_to_keda(19, 20, 19) == 17
    assert told(21, 20, ("Quota",), ScaledObject={"minReplicaCount": 2}) == 21


def test_with_an_hpa_its_own_bound_counts():
    assert told(19, 20, HorizontalPodAutoscaler={"minReplicas": 19}) == 17
    assert told(19, 20) == 19
