"""What the manager relies on in a Kubernetes API.

The suite asks over HTTP only; whoever runs it gives a fixture `fleet` with an API server, all CRDs and a namespace `ns`
that holds nothing of other tests: `tests/standalone` the embedded one, `e2e/scenarios` a real one.
"""

import asyncio
import json

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, Expired, FieldConflict, Refused, WriteConflict
from k8s_manager.kube.resources import RESOURCES
from tests.support.documents import model, tenant
from tests.support.fleet import Fleet
from tests.support.waiting import until

SERVICE = RESOURCES["Service"]
MINE = {"contract": "yes"}
ONLY_MINE = "contract=yes"


def service(name: str = "a", **spec) -> dict:
    base = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "ns", "labels": MINE},
        "spec": {**base, **spec},
    }


def deployment(*containers: dict, replicas: int | None = None) -> dict:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": list(containers)}}
    spec: dict = {"paused": True, "selector": {"matchLabels": {"app": "a"}}, "template": template}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "ns"}, "spec": spec}


async def test_a_list_comes_in_pages_of_one_moment(fleet: Fleet):
    for number in range(7):
        await fleet.apply(service(f"s{number}"))
    async with fleet.session.get(f"{fleet.server}{SERVICE.path('ns')}?limit=3") as answer:
        page = await answer.json()
    await fleet.apply(service("s9"))
    names, version = [i["metadata"]["name"] for i in page["items"]], page["metadata"]["resourceVersion"]
    while token := page["metadata"].get("continue"):
        async with fleet.session.get(f"{fleet.server}{SERVICE.path('ns')}?limit=3&continue={token}") as answer:
            page = await answer.json()
        assert page["metadata"]["resourceVersion"] == version
        names += [i["metadata"]["name"] for i in page["items"]]
    assert names == [f"s{number}" for number in range(7)]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("a=1", ["x"]),
        ("a!=1", ["y", "z"]),
        ("a in (1,2)", ["x", "y"]),
        ("b", ["y"]),
        ("!b", ["x", "z"]),
        ("a notin (1),b==3", ["y"]),
    ],
)
async def test_labels_select(fleet: Fleet, selector, found):
    for name, labels in (("x", {"a": "1"}), ("y", {"a": "2", "b": "3"}), ("z", {})):
        obj = service(name)
        await fleet.apply({**obj, "metadata": {**obj["metadata"], "labels": labels}})
    objects, _ = await fleet.client.list(SERVICE, selector, "ns")
    assert [o["metadata"]["name"] for o in objects] == found


async def events_of(client: KubeClient, version: str, selector: str, into: list) -> None:
    async for kind, obj in client.watch(SERVICE, version, selector):
        if kind == "BOOKMARK":
            continue
        into.append((kind, obj["metadata"].get("name")))


async def test_a_watch_tells_what_came_changed_and_went_from_a_version_on(fleet: Fleet):
    await fleet.apply(service("before"))
    _, version = await fleet.client.list(SERVICE, ONLY_MINE)
    await fleet.apply(service("missed"))
    seen: list = []
    watching = asyncio.create_task(events_of(fleet.client, version, ONLY_MINE, seen))
    await until(lambda: seen)
    await fleet.apply(service("missed", selector={"app": "other"}))
    await fleet.client.delete(ObjectKey("Service", "ns", "missed"))
    await until(lambda: len(seen) == 3)
    watching.cancel()
    assert seen == [("ADDED", "missed"), ("MODIFIED", "missed"), ("DELETED", "missed")]


async def test_an_object_that_leaves_a_selector_is_deleted_for_its_watchers(fleet: Fleet):
    obj = service("a")
    await fleet.apply({**obj, "metadata": {**obj["metadata"], "labels": {"mine": "yes"}}})
    _, version = await fleet.client.list(SERVICE, ONLY_MINE)
    seen: list = []
    watching = asyncio.create_task(events_of(fleet.client, version, "mine=yes", seen))
    await fleet.client.merge(ObjectKey("Service", "ns", "a"), {"metadata": {"labels": {"mine": "no"}}})
    await until(lambda: seen)
    watching.cancel()
    assert seen == [("DELETED", "a")]


async def test_a_watch_in_which_nothing_happens_ends_when_its_time_is_over(fleet: Fleet):
    _, version = await fleet.client.list(SERVICE, ONLY_MINE)
    query = f"watch=true&allowWatchBookmarks=true&timeoutSeconds=4&resourceVersion={version}&labelSelector={ONLY_MINE}"
    async with fleet.session.get(f"{fleet.server}{SERVICE.path()}?{query}") as answer:
        events = [json.loads(line) async for line in answer.content]
    assert {event["type"] for event in events} <= {"BOOKMARK"}
    assert all(int(event["object"]["metadata"]["resourceVersion"]) >= int(version) for event in events)


async def test_a_watch_from_a_forgotten_version_is_told_to_list_again(fleet: Fleet):
    await fleet.apply(tenant("t"))
    with pytest.raises(Expired):
        async for _ in fleet.client.watch(RESOURCES["Tenant"], fleet.forgotten_version()):
            pass


async def test_a_write_against_an_older_version_is_refused(fleet: Fleet):
    old = await fleet.client.apply(service("a"), force=False)
    await fleet.client.apply(service("a", selector={"app": "new"}), force=False)
    with pytest.raises(WriteConflict):
        await fleet.client.replace(old)


async def test_a_created_name_is_taken(fleet: Fleet):
    await fleet.client.create(service("a"))
    with pytest.raises(WriteConflict, match="already exists"):
        await fleet.client.create(service("a"))


async def test_applying_the_same_again_changes_nothing(fleet: Fleet):
    first = await fleet.client.apply(service("a"), force=False)
    again = await fleet.client.apply(service("a"), force=False)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_field_of_another_manager_is_a_conflict_unless_forced(fleet: Fleet):
    await fleet.client.apply(service("a"), force=False, manager="helm")
    with pytest.raises(FieldConflict) as refused:
        await fleet.client.apply(service("a", selector={"app": "b"}), force=False, manager="tidegate")
    assert refused.value.managers == ("helm",)
    forced = await fleet.client.apply(service("a", selector={"app": "b"}), force=True, manager="tidegate")
    assert forced["spec"]["selector"] == {"app": "b"}


async def test_equal_values_are_shared_without_a_conflict(fleet: Fleet):
    await fleet.client.apply(service("a"), force=False, manager="helm")
    both = await fleet.client.apply(service("a"), force=False, manager="tidegate")
    assert {entry["manager"] for entry in both["metadata"]["managedFields"]} == {"helm", "tidegate"}


async def test_a_field_that_is_no_longer_applied_goes_and_those_of_others_stay(fleet: Fleet):
    obj = service("a")
    await fleet.client.apply(
        {**obj, "metadata": {**obj["metadata"], "labels": {"ours": "1"}}}, force=False, manager="tidegate"
    )
    await fleet.client.merge(ObjectKey("Service", "ns", "a"), {"metadata": {"labels": {"theirs": "2"}}})
    after = await fleet.client.apply(obj, force=False, manager="tidegate")
    assert after["metadata"]["labels"] == {**MINE, "theirs": "2"}


async def test_keyed_lists_merge_and_belong_by_item(fleet: Fleet):
    await fleet.client.apply(deployment({"name": "model", "image": "m:1"}), force=False, manager="tidegate")
    sidecar = deployment({"name": "exporter", "image": "e:1", "env": [{"name": "A", "value": "1"}]})
    both = await fleet.client.apply(sidecar, force=False, manager="other")
    assert [c["name"] for c in both["spec"]["template"]["spec"]["containers"]] == ["model", "exporter"]
    ours = await fleet.client.apply(deployment({"name": "model", "image": "m:2"}), force=False, manager="tidegate")
    assert [(c["name"], c["image"]) for c in ours["spec"]["template"]["spec"]["containers"]] == [
        ("model", "m:2"),
        ("exporter", "e:1"),
    ]
    gone = await fleet.client.apply(deployment(), force=False, manager="other")
    assert [c["name"] for c in gone["spec"]["template"]["spec"]["containers"]] == ["model"]


async def test_atomic_lists_belong_to_one_manager_as_a_whole(fleet: Fleet):
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "v", "namespace": "ns"},
    }
    routes = [{"route": [{"destination": {"host": "a"}, "weight": weight}]} for weight in (90, 10)]
    await fleet.client.apply({**rule, "spec": {"hosts": ["a"], "http": routes}}, force=False, manager="tidegate")
    with pytest.raises(FieldConflict):
        await fleet.client.apply({**rule, "spec": {"http": routes[:1]}}, force=False, manager="kubectl")


async def test_replicas_are_handed_over_and_do_not_drop(fleet: Fleet):
    container = {"name": "model", "image": "m:1"}
    await fleet.client.apply(deployment(container, replicas=3), force=False, manager="tidegate")
    await fleet.client.apply(deployment(container, replicas=3), force=False, manager="handover")
    after = await fleet.client.apply(deployment(container), force=False, manager="tidegate")
    assert after["spec"]["replicas"] == 3


async def test_status_and_spec_are_written_apart(fleet: Fleet):
    made = await fleet.client.apply(tenant("t"), force=False)
    assert made["metadata"]["generation"] == 1
    told = await fleet.client.merge(
        ObjectKey("Tenant", "", "t"), {"status": {"namespace": "t"}, "spec": {"isolation": "strict"}}, "status"
    )
    assert (told["status"], told["spec"].get("isolation"), told["metadata"]["generation"]) == (
        {"namespace": "t"},
        None,
        1,
    )
    changed = await fleet.client.merge(
        ObjectKey("Tenant", "", "t"), {"spec": {"isolation": "strict"}, "status": {"namespace": "x"}}
    )
    assert (changed["status"], changed["metadata"]["generation"]) == ({"namespace": "t"}, 2)


async def test_a_crd_refuses_what_its_schema_does_not_allow(fleet: Fleet):
    wrong = tenant("t")
    wrong["spec"]["isolation"] = "sometimes"
    with pytest.raises(Refused, match="isolation"):
        await fleet.client.apply(wrong, force=False)


async def test_a_field_that_a_schema_does_not_know_is_dropped_from_a_write_and_refused_in_an_apply(fleet: Fleet):
    odd = tenant("t")
    odd["spec"]["unknown"] = 1
    with pytest.raises(Refused, match=r"\.spec\.unknown: field not declared in schema"):
        await fleet.client.apply(odd, force=False)
    assert "unknown" not in (await fleet.client.create(odd))["spec"]


async def test_a_kind_that_is_not_there_is_absent(fleet: Fleet):
    async with fleet.session.get(f"{fleet.server}/apis/nothing.dev/v1/things") as answer:
        assert answer.status == 404
    with pytest.raises(Absent):
        await fleet.client.get(ObjectKey("Service", "ns", "none"))


async def test_an_object_in_a_namespace_that_is_not_there_is_refused(fleet: Fleet):
    with pytest.raises(Absent, match="namespaces"):
        await fleet.client.apply({**service("a"), "metadata": {"name": "a", "namespace": "none"}}, force=False)


async def test_a_finalizer_holds_an_object_until_it_is_taken_off(fleet: Fleet):
    made = await fleet.client.apply(tenant("t"), force=False)
    head = {"apiVersion": made["apiVersion"], "kind": "Tenant"}
    hold = {**head, "metadata": {"name": "t", "uid": made["metadata"]["uid"], "finalizers": ["a.dev/x"]}}
    await fleet.client.apply(hold, force=False, manager="holder")
    await fleet.client.delete(ObjectKey("Tenant", "", "t"))
    assert "deletionTimestamp" in (await fleet.client.get(ObjectKey("Tenant", "", "t")))["metadata"]
    await fleet.client.apply(
        {**hold, "metadata": {**hold["metadata"], "finalizers": []}}, force=False, manager="holder"
    )
    with pytest.raises(Absent):
        await fleet.client.get(ObjectKey("Tenant", "", "t"))


async def test_an_apply_with_the_uid_of_something_gone_makes_nothing_new(fleet: Fleet):
    ghost = {**tenant("t"), "metadata": {"name": "t", "uid": "00000000-0000-4000-8000-000000000000"}}
    with pytest.raises(WriteConflict):
        await fleet.client.apply(ghost, force=True)
    assert await fleet.get("Tenant", "t") is None


async def test_what_an_owner_leaves_behind_is_collected(fleet: Fleet):
    owner = await fleet.client.apply(service("owner"), force=False)
    reference = {"apiVersion": "v1", "kind": "Service", "name": "owner", "uid": owner["metadata"]["uid"]}
    child = service("child")
    await fleet.apply({**child, "metadata": {**child["metadata"], "ownerReferences": [reference]}})
    await fleet.client.delete(ObjectKey("Service", "ns", "owner"))

    async def collected():
        return await fleet.get("Service", "child", "ns") is None

    await until(collected)


async def test_a_namespace_goes_with_everything_in_it(fleet: Fleet):
    await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns-going"}})
    inside = service("a")
    inside["metadata"]["namespace"] = "ns-going"
    await fleet.apply(inside, model("m", "ns-going"))
    await fleet.client.delete(ObjectKey("Namespace", "", "ns-going"))

    async def gone():
        return await fleet.get("Namespace", "ns-going") is None

    await until(gone)
    assert await fleet.get("Service", "a", "ns-going") is None


async def test_a_deletion_with_another_uid_is_refused(fleet: Fleet):
    await fleet.apply(service("a"))
    with pytest.raises(WriteConflict):
        await fleet.client.delete(ObjectKey("Service", "ns", "a"), uid="another")


async def test_a_dry_run_answers_and_stores_nothing(fleet: Fleet):
    answer = await fleet.client.apply(service("a"), force=False, dry_run=True)
    assert answer["spec"]["selector"] == {"app": "a"}
    assert await fleet.get("Service", "a", "ns") is None
