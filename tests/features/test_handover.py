"""A field that a document no longer sets keeps its value until its new owner changes it."""

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.drift.handover import given_up, handover, may_hand_over
from tests.features.conftest import make_search, recorded
from tests.features.test_plan import planned
from tests.support.documents import gateway, model, tenant
from tests.support.waiting import until

GATEWAY = ObjectKey("Deployment", "inference-gw", "shared")
RANKER = ObjectKey("Deployment", "search", "ranker-v1")


def workload(**more) -> dict:
    return model(versions=[{"name": "v1", "workload": {"image": "example.com/ranker:1", **more}}])


async def replicas(fleet, key: ObjectKey) -> int | None:
    obj = await fleet.get(key.kind, key.name, key.namespace)
    return obj["spec"].get("replicas") if obj else None


async def has(fleet, key: ObjectKey, count: int) -> bool:
    return await replicas(fleet, key) == count


async def is_ours_no_more(fleet, key: ObjectKey) -> bool:
    obj = await fleet.client.get(key)
    owners = {
        entry["manager"]
        for entry in obj["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }
    return bool(owners) and "tidegate" not in owners


NAMESPACE = {"apiVersion": "v1", "kind": "Namespace"}
CHANGES = [
    (GATEWAY, gateway(managed={"replicas": 8}), gateway(managed={"autoscale": {"min": 4, "max": 20}}), 8),
    (RANKER, workload(replicas=6), workload(), 6),
    (RANKER, workload(replicas=6), workload(command=["serve", "--fast"]), 6),
]


@pytest.mark.parametrize("key, before, after, count", CHANGES, ids=["gateway", "model", "model-and-template"])
async def test_the_number_of_pods_stays_until_its_new_owner_changes_it(fleet, key, before, after, count):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        await fleet.apply(
            {**NAMESPACE, "metadata": {"name": "inference-gw", "labels": {"tidegate.dev/gateway": "shared"}}}
        )
        await fleet.apply(before)
        await until(lambda: has(fleet, key, count), what="the declared number")
        path = "/v1/gateways/shared" if key is GATEWAY else "/v1/tenants/search/models/ranker"
        plan = await planned(rest, path, {"spec": after["spec"]})
        (change,) = [change for change in plan["changes"] if change["object"] == str(key)]
        assert f"gives up spec.replicas: it stays {count}" in change["server"]
        assert not [op for op in change["patch"] if op["path"] == "/spec/replicas"]
        async with recorded(fleet, "Deployment") as seen:
            await fleet.apply(after)
            await until(lambda: is_ours_no_more(fleet, key), what="the number being given up")
            await fleet.settled()
        numbers = [obj["spec"].get("replicas") for obj in seen if obj["metadata"]["name"] == key.name]
        assert len(numbers) > 1 and set(numbers) == {count}
        # The new owner changes it, and nobody sets it back.
        scaled = {"apiVersion": "apps/v1", "kind": key.kind, "metadata": {"name": key.name, "namespace": key.namespace}}
        await fleet.apply({**scaled, "spec": {"replicas": count - 1}}, manager="autoscaler")
        await fleet.settled()
        assert await has(fleet, key, count - 1)
        # The document takes it back.
        await fleet.apply(before)
        await until(lambda: has(fleet, key, count), what="the document's number")


async def test_a_number_that_another_writer_holds_already_is_left_to_it(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.apply(tenant(drift="adopt"), workload(replicas=6))
        await until(lambda: has(fleet, RANKER, 6))
        scaled = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "ranker-v1", "namespace": "search"},
        }
        await fleet.apply({**scaled, "spec": {"replicas": 3}}, manager="autoscaler")
        await fleet.apply(workload())
        await fleet.settled()
        assert await has(fleet, RANKER, 3)


def live(**managers) -> dict:
    entries = [{"manager": name, "operation": "Apply", "fieldsV1": fields} for name, fields in managers.items()]
    metadata = {"name": "a", "namespace": "b", "uid": "c", "managedFields": entries}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": 4}}


HELD = {"f:spec": {"f:replicas": {}}}
WANTED = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "b"}, "spec": {}}


@pytest.mark.parametrize("managers", [{"tidegate": {}}, {"tidegate": HELD, "hpa": HELD}, {"hpa": HELD}, {}])
def test_nothing_is_handed_over_that_is_not_ours_alone(managers):
    assert given_up(live(**managers), WANTED) == {}


def test_only_the_fields_that_are_given_up_are_handed_over():
    there = live(tidegate=HELD)
    found = handover(there, given_up(there, WANTED))
    assert found["spec"] == {"replicas": 4} and found["metadata"]["uid"] == "c"
    assert not may_hand_over({**WANTED, "spec": {"replicas": 2}})
    assert not may_hand_over({**WANTED, "kind": "Service"})
