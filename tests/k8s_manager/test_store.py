from k8s_manager.clock import SystemClock
from k8s_manager.kube.store import Store


def scaler(version: int, **given):
    metadata = {
        "name": "s",
        "namespace": "search",
        "uid": "u",
        "resourceVersion": str(version),
        **given.pop("metadata", {}),
    }
    return {"kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": {"maxReplicas": 3}, **given}


def test_what_an_autoscaler_tells_of_itself_wakes_nobody_and_what_people_change_does():
    store = Store(("HorizontalPodAutoscaler",), SystemClock())
    store.put(scaler(1))
    before = store.all_changes
    store.put(scaler(2, status={"currentReplicas": 2}))
    assert store.all_changes == before
    assert next(iter(store.all("HorizontalPodAutoscaler")))["status"] == {"currentReplicas": 2}
    store.put(scaler(3, spec={"maxReplicas": 4}))
    assert store.all_changes == before + 1
    store.put(scaler(4, spec={"maxReplicas": 4}, metadata={"labels": {"a": "b"}}))
    assert store.all_changes == before + 2


def test_an_older_version_is_dropped():
    store = Store(("HorizontalPodAutoscaler",), SystemClock())
    store.put(scaler(9, spec={"maxReplicas": 9}))
    store.put(scaler(8))
    assert next(iter(store.all("HorizontalPodAutoscaler")))["spec"] == {"maxReplicas": 9}
