from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import SystemClock


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
    before = store.changes("HorizontalPodAutoscaler")
    store.put(scaler(2, status={"currentReplicas": 2}))
    assert store.changes("HorizontalPodAutoscaler") == before
    assert next(iter(store.all("HorizontalPodAutoscaler")))["status"] == {"currentReplicas": 2}
    store.put(scaler(3, spec={"maxReplicas": 4}))
    assert store.changes("HorizontalPodAutoscaler") == before + 1
    store.put(scaler(4, spec={"maxReplicas": 4}, metadata={"labels": {"a": "b"}}))
    assert store.changes("HorizontalPodAutoscaler") == before + 2


def tenant(version: int, **status):
    metadata = {"name": "search", "uid": "u", "generation": 1, "resourceVersion": str(version)}
    return {"kind": "Tenant", "metadata": metadata, "spec": {"gateway": {"name": "shared"}}, "status": status}


MOVING = {"from": ["old"], "until": "2026-01-01T00:11:00Z"}


def condition(type_: str, status: str, generation: int = 1):
    told = {"reason": "Tried", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"type": type_, "status": status, "observedGeneration": generation, **told}


def test_what_a_status_tells_people_wakes_nobody_and_what_is_gone_on_from_does():
    store = Store(("Tenant",), SystemClock())
    store.replace("Tenant", [tenant(1, conditions=[condition("Accepted", "True")])])
    woken = store.signal(frozenset({"Tenant"}))
    for version, status, wakes in (
        (2, {"conditions": [condition("Accepted", "True"), condition("Ready", "False")], "models": 3}, False),
        (3, {"conditions": [condition("Accepted", "True", 2)]}, True),
        (4, {"conditions": [condition("Accepted", "False", 2)]}, True),
        (5, {"conditions": [condition("Accepted", "False", 2)], "moving": MOVING}, True),
        (6, {"conditions": [condition("Accepted", "False", 2)], "moving": MOVING, "models": 4}, False),
    ):
        woken.clear()
        before = store.changes("Tenant")
        store.put(tenant(version, **status))
        assert (woken.is_set(), store.changes("Tenant")) == (wakes, before + 1), version


def test_an_older_version_is_dropped():
    store = Store(("HorizontalPodAutoscaler",), SystemClock())
    store.put(scaler(9, spec={"maxReplicas": 9}))
    store.put(scaler(8))
    assert next(iter(store.all("HorizontalPodAutoscaler")))["spec"] == {"maxReplicas": 9}
