"""The loop on an API server: what is made, kept, repaired and removed, counted at the server."""

import asyncio
import copy
import dataclasses

import pytest

from istio_templates.envoy_filter import limits_of
from istio_templates.facts import ObjectKey
from istio_templates.names import SLOTS
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.runtime.metrics import RENDERED
from ratelimiter.slots import slot_of
from tests.features.conftest import in_slot, is_programmed, make_search, recorded
from tests.support.bounds import hung, slowness
from tests.support.documents import gateway, labels, model, tenant
from tests.support.fleet import SETTINGS, running_fleet
from tests.support.waiting import until


def rendered() -> float:
    return sum(
        sample.value for metric in RENDERED.collect() for sample in metric.samples if sample.name.endswith("_total")
    )


async def test_a_document_becomes_routes_workloads_and_a_limit(fleet):
    async with fleet.manager():
        await make_search(fleet)
        owned = await fleet.owned()
    assert {
        "Namespace /search",
        "Service search/ranker",
        "Deployment search/ranker-v1",
        "DestinationRule search/ranker",
        "VirtualService search/ranker",
        "Gateway inference-gw/tenant-search",
        "EnvoyFilter inference-gw/tidegate-shared-slots",
    } <= owned
    assert sum("-slot-" in name for name in owned) == SLOTS


async def test_a_pass_that_changes_nothing_writes_and_renders_nothing(fleet):
    async with fleet.manager() as manager:
        await make_search(fleet)
        before, drawn = await fleet.settled(), rendered()
        for _ in range(5):
            manager.loops.main.trigger.set()
            await asyncio.sleep(0.1)
        assert await fleet.settled() == before
        assert rendered() == drawn


async def test_a_restarted_manager_writes_nothing_where_nothing_changed(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await until(lambda: limit_is(fleet, 20), what="the limit of one replica")
        await fleet.settled()
    before = fleet.writes()
    async with fleet.manager():
        await asyncio.sleep(1.5)
        assert fleet.writes() == before


async def limit_is(fleet, total: float) -> bool:
    status = await fleet.status("Model", "ranker", "search")
    return bool((status.get("limit") or {}).get("total") == total)


async def test_the_limit_follows_the_ready_replicas_and_the_gateway_pods(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        first = await fleet.pod("search", labels())
        second = await fleet.pod("search", labels(), ready=False)
        await until(lambda: limit_is(fleet, 20))
        await fleet.set_ready(second, True)
        await until(lambda: limit_is(fleet, 40))
        starting = await fleet.pod("inference-gw", {"istio": "shared"}, ready=False)
        await until(lambda: per_gateway_is(fleet, 20))
        await fleet.set_ready(first, False)
        await until(lambda: limit_is(fleet, 20))
        assert (await fleet.status("Model", "ranker", "search"))["limit"]["gateways"] == 2
        await fleet.client.merge(starting, {"metadata": {"labels": {"istio": None}}})
        await until(lambda: per_gateway_is(fleet, 20))


@pytest.mark.parametrize("fallback", ["floor", "hold", "closed"])
async def test_the_first_warm_replica_after_an_outage_is_used_at_once(fleet, fallback):
    never = {"down": {"quiet": "20ms", "longest": "100ms"}, "up": {"quiet": "1h", "longest": "2h"}}
    async with fleet.manager():
        await make_search(fleet)
        limit = {"perReplicaQps": 20, "debounce": never, "fallback": {"cold": fallback}, "floor": 1}
        await fleet.apply(model(rateLimit=limit))
        await fleet.pod("inference-gw", {"istio": "shared"})
        replica = await fleet.pod("search", labels(), ready=False)
        await until(lambda: is_limited_by(fleet, "Cold"), what="the fallback")
        await fleet.set_ready(replica, True)
        await until(lambda: in_force_is(fleet, 20), what="the first replica being used")


async def is_limited_by(fleet, reason: str) -> bool:
    return (await fleet.condition("Model", "ranker", "Limited", "search")).get("reason") == reason


async def in_force_is(fleet, rate: float) -> bool:
    return rate in (await in_slot(fleet)).values()


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
async def test_pods_that_have_ended_take_no_share_and_serve_nothing(fleet, phase):
    async with fleet.manager():
        await make_search(fleet)
        places = [("inference-gw", {"istio": "shared"})] * 2 + [("search", labels())] * 2
        (_, gateway_pod, _, replica) = [await fleet.pod(*place) for place in places]
        await until(lambda: limit_is(fleet, 40))
        await until(lambda: per_gateway_is(fleet, 20))
        for key in (gateway_pod, replica):
            await fleet.client.merge(key, {"status": {"phase": phase, "reason": "Evicted"}}, "status")
        await until(lambda: limit_is(fleet, 20))
        await until(lambda: per_gateway_is(fleet, 20))
        told = await fleet.condition("InferenceGateway", "shared", "Ready")
        assert told["message"] == "1 of 1 gateway pods are ready"
        assert (await fleet.status("Model", "ranker", "search"))["limit"]["gateways"] == 1


async def per_gateway_is(fleet, rate: float) -> bool:
    status = await fleet.status("Model", "ranker", "search")
    return bool(((status.get("limit") or {}).get("perGateway") or {}).get("rate") == rate)


async def test_replicas_that_flap_and_come_back_cost_no_slot_write(fleet):
    async with fleet.manager():
        await make_search(fleet)
        patient = {"down": {"quiet": "1s", "longest": "1s"}, "up": {"quiet": "1s", "longest": "1s"}}
        await fleet.apply(model(rateLimit={"perReplicaQps": 20, "debounce": patient}))
        pods = [await fleet.pod("search", labels()) for _ in range(2)]
        await fleet.pod("inference-gw", {"istio": "shared"})
        await until(lambda: limit_is(fleet, 40))
        before = (await fleet.settled(1.2))["envoyfilters"]
        for number in range(60):
            await fleet.set_ready(pods[number % 2], False)
            await fleet.set_ready(pods[number % 2], True)
        await asyncio.sleep(1.5)
        assert fleet.writes()["envoyfilters"] == before


async def test_no_route_is_open_before_its_limit_is_in_a_slot(fleet):
    _, version = await fleet.client.list(RESOURCES["EnvoyFilter"])
    async with fleet.manager():
        await make_search(fleet)
    route = await fleet.get("VirtualService", "ranker", "search")
    made, limited_at = [], 0
    async for kind, obj in fleet.client.watch(RESOURCES["EnvoyFilter"], version):
        if kind == "ADDED":
            made.append(obj["metadata"]["name"])
        if "virtual-service/ranker" in str(obj["spec"]):
            limited_at = int(obj["metadata"]["resourceVersion"])
        if limited_at and len(made) == SLOTS + 1:
            break
    assert limited_at < int(route["metadata"]["resourceVersion"])
    assert made[-1] == "tidegate-shared-slots", "the slots' configurations come before the filters that ask for them"


async def test_deleting_a_model_removes_what_was_made_for_it_and_nothing_else(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.apply(model("tagger"))
        await until(lambda: is_programmed(fleet, "tagger", "search"))
        mine = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "mine", "namespace": "search"},
            "spec": {"ports": []},
        }
        await fleet.apply(mine)
        before = await fleet.owned()
        await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
        await until(lambda: gone(fleet, "Model", "ranker", "search"), what="the model being gone")
        await fleet.settled()
        after = await fleet.owned()
        assert before - after == {
            f"{kind} search/ranker" for kind in ("Service", "DestinationRule", "VirtualService")
        } | {"Deployment search/ranker-v1", "PodDisruptionBudget search/ranker-v1"}
        assert await fleet.get("Service", "mine", "search")
        slots = [await fleet.get("EnvoyFilter", f"tidegate-shared-slot-{n:02d}", "inference-gw") for n in range(SLOTS)]
        assert not any("virtual-service/ranker" in str(slot) for slot in slots)


async def gone(fleet, kind: str, name: str, namespace: str = "") -> bool:
    return await fleet.get(kind, name, namespace) is None


async def test_deleting_everything_leaves_nothing_over(fleet):
    async with fleet.manager():
        await make_search(fleet)
        for key in (
            ObjectKey("Model", "search", "ranker"),
            ObjectKey("Tenant", "", "search"),
            ObjectKey("InferenceGateway", "", "shared"),
        ):
            await fleet.client.delete(key)
        await until(lambda: gone(fleet, "InferenceGateway", "shared"), what="the gateway being gone")
        await until(lambda: gone(fleet, "Namespace", "search"), what="the namespace that we made being gone")
        assert await fleet.owned() == set()
        assert await fleet.get("Namespace", "inference-gw")


async def test_what_kubernetes_and_istio_put_into_every_namespace_holds_none(fleet):
    async with fleet.manager():
        await make_search(fleet)
        for kind, name in (
            ("ConfigMap", "kube-root-ca.crt"),
            ("ConfigMap", "istio-ca-root-cert"),
            ("ConfigMap", "istio-ca-crl"),
            ("ServiceAccount", "default"),
        ):
            metadata = {"name": name, "namespace": "search"}
            await fleet.apply({"apiVersion": "v1", "kind": kind, "metadata": metadata})
        await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
        await fleet.client.delete(ObjectKey("Tenant", "", "search"))
        await until(lambda: gone(fleet, "Namespace", "search"), what="the namespace being gone")


async def test_a_namespace_with_other_things_in_it_is_kept(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": "search"}}
        )
        await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
        await fleet.client.delete(ObjectKey("Tenant", "", "search"))
        await until(lambda: gone(fleet, "Tenant", "search"), what="the tenant being gone")
        await fleet.settled()
        namespace = await fleet.get("Namespace", "search")
        assert namespace and "deletionTimestamp" not in namespace["metadata"]
        assert "tidegate.dev/tenant" not in namespace["metadata"]["labels"]
        assert await fleet.get("ConfigMap", "mine", "search")


async def test_a_tenant_that_is_deleted_with_models_says_what_it_waits_for_and_serves_on(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.client.delete(ObjectKey("Tenant", "", "search"))

        async def waiting():
            condition = await fleet.condition("Tenant", "search", "Programmed")
            return condition.get("reason") == "Waiting" and "ranker" in condition["message"]

        await until(waiting)
        assert await fleet.get("VirtualService", "ranker", "search")
        assert await fleet.get("Gateway", "tenant-search", "inference-gw")


async def test_a_document_that_cannot_be_rendered_any_more_keeps_its_last_good_objects(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.apply(tenant("ads"), model("tagger"))
        await until(lambda: is_programmed(fleet, "tagger", "search"))
        before = await fleet.get("VirtualService", "ranker", "search")
        await fleet.apply(model(traffic=[{"version": "v9", "weight": 100}]))

        async def refused():
            condition = await fleet.condition("Model", "ranker", "Accepted", "search")
            return condition.get("status") == "False" and "v9" in condition["message"]

        await until(refused)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels("tagger"))
        await until(lambda: tagger_limit(fleet, 20), what="the other model's limit going on")
        assert await fleet.get("VirtualService", "ranker", "search") == before
        slots = [await fleet.get("EnvoyFilter", f"tidegate-shared-slot-{n:02d}", "inference-gw") for n in range(SLOTS)]
        assert any("virtual-service/ranker" in str(slot) for slot in slots)


async def tagger_limit(fleet, total: float) -> bool:
    status = await fleet.status("Model", "tagger", "search")
    return bool((status.get("limit") or {}).get("total") == total)


async def test_an_object_that_was_there_before_is_not_taken_by_force(fleet):
    async with fleet.manager():
        await fleet.apply(gateway(), tenant())
        await until(lambda: fleet.get("Namespace", "search"))
        theirs = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "ranker", "namespace": "search"},
            "spec": {"selector": {"app": "legacy"}, "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}]},
        }
        await fleet.apply(theirs, manager="helm")
        await fleet.apply(model())

        async def told():
            condition = await fleet.condition("Model", "ranker", "Programmed", "search")
            return condition.get("reason") == "FieldConflict" and "helm" in condition["message"]

        await until(told)
        assert (await fleet.get("Service", "ranker", "search"))["spec"]["selector"] == {"app": "legacy"}
        assert await fleet.get("VirtualService", "ranker", "search") is None


async def test_drift_is_repaired_and_the_writer_named(fleet):
    async with fleet.manager():
        await make_search(fleet)
        before = await fleet.get("VirtualService", "ranker", "search")
        changed = {
            "apiVersion": before["apiVersion"],
            "kind": "VirtualService",
            "metadata": {"name": "ranker", "namespace": "search"},
        }
        await fleet.apply({**changed, "spec": {"http": [{"directResponse": {"status": 418}}]}}, manager="kubectl-edit")

        async def repaired():
            found = await fleet.get("VirtualService", "ranker", "search")
            return found["spec"] == before["spec"]

        await until(repaired)

        async def named():
            condition = await fleet.condition("Model", "ranker", "Drift", "search")
            return "kubectl-edit" in condition.get("message", "")

        await until(named)


async def test_a_new_version_is_made_before_it_gets_traffic_and_the_old_one_goes_after(fleet):
    async with fleet.manager():
        await make_search(fleet)
        versions = [{"name": "v2", "workload": {"replicas": 1, "image": "example.com/ranker:2"}}]

        async def moved():
            rule = await fleet.get("DestinationRule", "ranker", "search")
            return [s["name"] for s in rule["spec"]["subsets"]] == ["v2"]

        async with recorded(fleet, "DestinationRule", "VirtualService") as seen:
            await fleet.apply(
                model(versions=versions, traffic=[{"version": "v2", "weight": 100}], drain=f"{hung() / 20:.0f}s")
            )
            await until(moved)
        ordered = sorted((obj["kind"], int(obj["metadata"]["resourceVersion"]), str(obj["spec"])) for obj in seen)
        first_route_to_v2 = next(v for k, v, spec in ordered if k == "VirtualService" and "'subset': 'v2'" in spec)
        rules = [(v, spec) for k, v, spec in ordered if k == "DestinationRule"]
        assert all("'name': 'v1'" in spec for version, spec in rules if version < first_route_to_v2)
        assert any("'name': 'v2'" in spec for version, spec in rules if version < first_route_to_v2)
        await until(
            lambda: gone(fleet, "Deployment", "ranker-v1", "search"), what="the old version's pods being removed"
        )


async def test_the_api_server_goes_away_and_comes_back(tmp_path):
    file = tmp_path / "state.db"
    async with running_fleet(file) as fleet:
        port = int(fleet.server.rsplit(":", 1)[1])
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inference-gw"}})
        manager = fleet.manager()
        await manager.__aenter__()
        await make_search(fleet)
        await fleet.settled()
    await asyncio.sleep(0.5)
    async with running_fleet(file, port) as again:
        before = again.writes()["virtualservices"]
        await again.apply(model("tagger"))
        await until(lambda: is_programmed(again, "tagger", "search"), what="the manager going on")
        assert again.writes()["virtualservices"] == before + 1
        await manager.__aexit__(None, None, None)


async def test_a_dedicated_gateway_is_made_and_removed_with_its_tenant(fleet):
    async with fleet.manager():
        await fleet.apply(tenant("ads", gateway={"dedicated": {"replicas": 2}}))
        await until(lambda: fleet.get("Deployment", "ads", "ads-gateway"), what="the gateway's Deployment")
        await until(lambda: fleet.get("Gateway", "tenant-ads", "ads-gateway"), what="the tenant's Gateway")
        await fleet.client.delete(ObjectKey("Tenant", "", "ads"))
        await until(lambda: gone(fleet, "InferenceGateway", "ads"), what="the gateway being gone")
        await until(lambda: nothing_owned(fleet), what="everything being gone")


async def nothing_owned(fleet) -> bool:
    try:
        return await fleet.owned() == set()
    except Absent:
        return False


async def test_a_model_that_is_closed_while_cold_answers_503_and_opens_with_its_first_replica(fleet):
    from tests.support.fleet import QUICK

    async with fleet.manager():
        await make_search(fleet)
        closed = {"perReplicaQps": 20, "debounce": QUICK, "fallback": {"cold": "closed"}}
        await fleet.apply(model(rateLimit=closed))

        async def answers(word: str) -> bool:
            found = await fleet.get("VirtualService", "ranker", "search")
            return word in found["spec"]["http"][0]

        await until(lambda: answers("directResponse"))
        assert "no replica is ready" in str(await fleet.get("VirtualService", "ranker", "search"))
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await until(lambda: answers("route"))
        await until(lambda: limit_is(fleet, 20))


async def test_a_refused_document_keeps_its_host_and_paths_reserved(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.apply({**tenant(), "spec": {**tenant()["spec"], "gateway": {"name": "nowhere"}}})
        await until(lambda: accepted_is(fleet, "Tenant", "search", "False"))
        await fleet.apply(tenant("thief", host="search.models.example.com"))
        await until(lambda: accepted_is(fleet, "Tenant", "thief", "False"))
        assert "tenant search" in (await fleet.condition("Tenant", "thief", "Accepted"))["message"]
        await fleet.apply(tenant())
        await until(lambda: accepted_is(fleet, "Tenant", "search", "True"))
        await fleet.apply(model(traffic=[{"version": "v9", "weight": 100}]))
        await until(lambda: accepted_is(fleet, "Model", "ranker", "False", "search"))
        await fleet.apply(
            model("other", routes=[{"host": "search.models.example.com", "path": "/v2/models/ranker/x", "port": 8080}])
        )
        await until(lambda: accepted_is(fleet, "Model", "other", "False", "search"))
        assert "search/ranker" in (await fleet.condition("Model", "other", "Accepted", "search"))["message"]


async def accepted_is(fleet, kind: str, name: str, status: str, namespace: str = "") -> bool:
    return (await fleet.condition(kind, name, "Accepted", namespace)).get("status") == status


async def test_a_refused_tenant_can_be_deleted_with_all_that_it_kept(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.apply({**tenant(), "spec": {**tenant()["spec"], "gateway": {"name": "nowhere"}}})
        await until(lambda: accepted_is(fleet, "Tenant", "search", "False"))
        await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
        await until(lambda: gone(fleet, "Model", "ranker", "search"), what="the model being gone")
        await fleet.client.delete(ObjectKey("Tenant", "", "search"))
        await until(lambda: gone(fleet, "Tenant", "search"), what="the tenant being gone")
        await until(lambda: gone(fleet, "Namespace", "search"), what="its namespace being gone")


async def test_the_namespace_of_a_tenant_cannot_be_changed_and_its_models_stay(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.apply(tenant(namespace="elsewhere"))
        await until(lambda: accepted_is(fleet, "Tenant", "search", "False"))
        await fleet.settled()
        assert await fleet.get("Model", "ranker", "search")
        assert await fleet.get("VirtualService", "ranker", "search")


async def test_a_document_that_carries_our_label_is_not_taken_for_an_object_of_ours(fleet):
    async with fleet.manager():
        await make_search(fleet)
        labelled = {
            **model()["metadata"],
            "labels": {"app.kubernetes.io/managed-by": "tidegate", "tidegate.dev/tenant": "search"},
        }
        await fleet.apply({**model(), "metadata": labelled})
        await fleet.settled()
        assert "deletionTimestamp" not in (await fleet.get("Model", "ranker", "search"))["metadata"]


async def test_a_finalizer_that_somebody_else_restored_is_taken_off_too(fleet):
    async with fleet.manager():
        await fleet.apply(gateway())
        restored = {**tenant(), "metadata": {"name": "search", "finalizers": ["tidegate.dev/cleanup", "other.dev/x"]}}
        await fleet.apply(restored, manager="backup")
        await until(lambda: fleet.get("Namespace", "search"))
        await fleet.client.delete(ObjectKey("Tenant", "", "search"))

        async def let_go():
            found = await fleet.get("Tenant", "search")
            return found["metadata"]["finalizers"] == ["other.dev/x"]

        await until(let_go)


async def test_a_slot_that_somebody_spoilt_is_set_back_and_stops_nothing(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await until(lambda: limit_is(fleet, 20))
        slot = f"tidegate-shared-slot-{slot_of('search', 'ranker'):02d}"
        before = await fleet.get("EnvoyFilter", slot, "inference-gw")
        spoilt = copy.deepcopy(before["spec"])
        spoilt["configPatches"][0]["patch"]["value"]["typed_config"]["descriptors"][0]["token_bucket"][
            "fill_interval"
        ] = 1
        await fleet.client.merge(ObjectKey("EnvoyFilter", "inference-gw", slot), {"spec": spoilt})

        async def mended():
            return (await fleet.get("EnvoyFilter", slot, "inference-gw"))["spec"] == before["spec"]

        await until(mended)
        await fleet.client.delete(ObjectKey("EnvoyFilter", "inference-gw", slot))
        await until(lambda: fleet.get("EnvoyFilter", slot, "inference-gw"))
        await until(mended, what="the deleted slot having its limits again")


async def test_a_limit_that_is_held_is_shared_anew_when_a_gateway_pod_comes(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        replica = await fleet.pod("search", labels())
        await until(lambda: limit_is(fleet, 20))
        await fleet.set_ready(replica, False)
        await until(lambda: limited_by(fleet, "Cold"))
        await fleet.pod("inference-gw", {"istio": "shared"}, ready=False)
        await until(lambda: per_gateway_is(fleet, 10))
        assert await limit_is(fleet, 20)


async def limited_by(fleet, reason: str) -> bool:
    return (await fleet.condition("Model", "ranker", "Limited", "search")).get("reason") == reason


async def test_a_slot_changed_by_hand_is_set_back_and_its_writer_is_named_in_a_condition_and_an_event(fleet):
    name = "tidegate-shared-slot-03"
    async with fleet.manager():
        await make_search(fleet)
        before = await fleet.get("EnvoyFilter", name, "inference-gw")
        spec = copy.deepcopy(before["spec"])
        spec["configPatches"][0]["patch"]["value"]["typed_config"]["token_bucket"]["max_tokens"] = 7
        await fleet.client.apply({**bare(before), "spec": spec}, force=True, manager="night-shift")

        async def repaired():
            live = await fleet.get("EnvoyFilter", name, "inference-gw")
            return live["spec"] == before["spec"]

        await until(repaired, what="the slot being set back")

        async def told():
            drift = await fleet.condition("InferenceGateway", "shared", "Drift")
            return name in drift.get("message", "") and "night-shift" in drift["message"]

        await until(told, what="the writer being named")
        (event,) = await until(lambda: fleet.events("inference-gw", "EnvoyFilter"), what="the event")
    assert event["involvedObject"]["name"] == name
    assert (event["reason"], "night-shift" in event["message"]) == ("Repaired", True)


async def test_two_changes_by_hand_within_a_second_are_both_told(fleet):
    async with fleet.manager():
        await make_search(fleet)
        for name in ("tidegate-shared-slot-03", "tidegate-shared-slots"):
            before = await fleet.get("EnvoyFilter", name, "inference-gw")
            spec = copy.deepcopy(before["spec"])
            spec["priority"] = 77
            await fleet.client.apply({**bare(before), "spec": spec}, force=True, manager="night-shift")

            async def told(name=name):
                return name in (await fleet.condition("InferenceGateway", "shared", "Drift")).get("message", "")

            await until(told, what=f"the change of {name} being told")


async def test_an_envoy_filter_with_the_name_of_a_slot_is_noticed_until_it_goes(fleet):
    async with fleet.manager():
        await make_search(fleet)
        slot = await fleet.get("EnvoyFilter", "tidegate-shared-slot-03", "inference-gw")
        twin = {**bare(slot), "metadata": {"name": "twin", "namespace": "inference-gw"}, "spec": slot["spec"]}
        await fleet.apply(twin)

        async def said(status):
            told = await fleet.condition("InferenceGateway", "shared", "SlotsUnique")
            return told.get("status") == status and ("inference-gw/twin" in told["message"]) == (status == "False")

        await until(lambda: said("False"), what="the duplicate being told")
        await fleet.client.delete(ObjectKey("EnvoyFilter", "inference-gw", "twin"))
        await until(lambda: said("True"), what="the condition going back")


def bare(obj: dict) -> dict:
    """Return the head of a live object as somebody else would write it."""
    metadata = {key: obj["metadata"][key] for key in ("name", "namespace")}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}


async def test_a_tenant_that_moves_is_served_by_both_gateways_and_then_by_the_new_one(fleet):
    def ways(route):
        return route["spec"]["gateways"], route["spec"]["exportTo"]

    async with fleet.manager(dataclasses.replace(SETTINGS, gateway_overlap=3 * slowness())):
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await until(lambda: limit_is(fleet, 20), what="the limit of one replica")
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other-gw"}})
        await fleet.apply(gateway("other", "other-gw"), tenant(gateway={"name": "other"}))

        async def waits():
            told = await fleet.condition("Tenant", "search", "Programmed")
            return told.get("reason") == "Waiting" and "gateway other has no ready pod yet" in told["message"]

        await until(waits, what="the move waiting for a ready pod")
        assert ways(await fleet.get("VirtualService", "ranker", "search")) == (
            ["inference-gw/tenant-search"],
            ["inference-gw"],
        )
        await fleet.pod("other-gw", {"istio": "other"})

        async def both():
            return ways(await fleet.get("VirtualService", "ranker", "search")) == (
                ["inference-gw/tenant-search", "other-gw/tenant-search"],
                ["inference-gw", "other-gw"],
            )

        await until(both, what="both gateways serving")
        status = await fleet.status("Tenant", "search")
        assert (status["gateway"], status["moving"]["from"]) == ("other", ["shared"])

        async def shared():
            return [share async for share in shares_of(fleet, "ranker")] == [10, 10]

        await until(shared, what="both gateways sharing the limit")

        async def moved():
            route = await fleet.get("VirtualService", "ranker", "search")
            return ways(route) == (["other-gw/tenant-search"], ["other-gw"])

        await until(moved, what="the old gateway being left")
        await until(lambda: left(fleet), what="the tenant's Gateway at the old place being gone")


async def left(fleet) -> bool:
    return await fleet.get("Gateway", "tenant-search", "inference-gw") is None


async def shares_of(fleet, name: str):
    """Yield the rate of a model in each slot that holds it."""
    objects, _ = await fleet.client.list(RESOURCES["EnvoyFilter"])
    for obj in objects:
        for identity, bucket in limits_of(obj):
            if identity.place[1] == name:
                yield float(bucket.rate)


async def serves_at(fleet, *namespaces: str) -> bool:
    route = await fleet.get("VirtualService", "ranker", "search")
    return route["spec"]["exportTo"] == sorted(namespaces)


async def begin_move(fleet, **spec) -> None:
    """Have search served by `shared`, and ask for `other`, which has a ready pod."""
    await make_search(fleet)
    await fleet.pod("inference-gw", {"istio": "shared"})
    await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other-gw"}})
    https = {"name": "own", "port": 8443, "protocol": "HTTPS"}
    http = {"name": "http", "port": 8080, "protocol": "HTTP"}
    await fleet.apply(gateway("other", "other-gw", listeners=[http, https]))
    await fleet.pod("other-gw", {"istio": "other"})
    await fleet.apply(tenant(gateway={"name": "other"}, **spec))


async def test_a_gateway_that_is_deleted_while_its_tenant_moves_stays_until_the_move_is_over(fleet):
    async with fleet.manager(dataclasses.replace(SETTINGS, gateway_overlap=3 * slowness())):
        await begin_move(fleet)
        await until(lambda: serves_at(fleet, "inference-gw", "other-gw"), what="both gateways serving")
        await fleet.client.delete(ObjectKey("InferenceGateway", "", "shared"))
        await asyncio.sleep(0.5)
        assert await fleet.get("EnvoyFilter", "tidegate-shared-slots", "inference-gw")
        assert await serves_at(fleet, "inference-gw", "other-gw")
        await until(lambda: gone(fleet, "InferenceGateway", "shared"), what="the old gateway being gone")
        assert await serves_at(fleet, "other-gw")


async def test_a_move_waits_for_the_certificates_at_the_new_gateway(fleet):
    host = {"name": "search.models.example.com", "tls": {"credentialName": "search-cert"}}
    async with fleet.manager():
        await begin_move(fleet, hosts=[host])

        async def waits():
            told = await fleet.condition("Tenant", "search", "Programmed")
            return "has no Secret search-cert in namespace other-gw yet" in told.get("message", "")

        await until(waits, what="the missing certificate being told")
        assert (await fleet.status("Tenant", "search"))["gateway"] == "shared"


async def test_a_document_that_is_refused_moves_nobody(fleet):
    taken = {"name": "ads.models.example.com"}
    async with fleet.manager(dataclasses.replace(SETTINGS, gateway_overlap=3 * slowness())):
        await fleet.apply(gateway())
        await fleet.apply(tenant("ads"))
        await begin_move(fleet, hosts=[{"name": "search.models.example.com"}, taken])

        async def refused():
            return (await fleet.condition("Tenant", "search", "Accepted")).get("status") == "False"

        await until(refused, what="the refusal")
        await asyncio.sleep(1.5)
        assert (await fleet.status("Tenant", "search"))["gateway"] == "shared"
        await fleet.apply(tenant(gateway={"name": "other"}))
        await until(lambda: serves_at(fleet, "inference-gw", "other-gw"), what="both gateways serving")


async def test_an_autoscaler_that_the_limit_works_against_is_told(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        metric = {
            "type": "Pods",
            "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "30"}},
        }
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ranker-v1"},
            "maxReplicas": 5,
            "metrics": [metric],
        }
        metadata = {"name": "theirs", "namespace": "search"}
        scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}
        await fleet.apply(scaler)
        await until(lambda: told(fleet, "ReplicasDeclared"), what="both setting the replicas being told")
        (version,) = model()["spec"]["versions"]
        left = {**version, "workload": {"image": version["workload"]["image"]}}
        await fleet.apply(model(versions=[left]))
        await until(lambda: told(fleet, "TargetAboveLimit"), what="the target being above the limit")
        metric["pods"]["target"]["averageValue"] = "15"
        await fleet.apply(scaler)
        await until(lambda: told(fleet, "Agrees"), what="the autoscaler agreeing")
        await fleet.apply(model(versions=[left], rateLimit={"perReplicaQps": 20, "ceiling": 101}))
        await until(lambda: told(fleet, "CeilingUnreachable"), what="the ceiling being out of reach")


async def told(fleet, reason):
    return (await fleet.condition("Model", "ranker", "AutoscalerAgrees", "search")).get("reason") == reason
