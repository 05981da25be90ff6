"""Somebody else writes: what is ours is set back and the writer named; what was theirs first is left alone."""

import asyncio
import json
from typing import Any

from e2e.scenarios.test_attach import LABELS, theirs
from e2e.support.load import Load
from e2e.support.site import QUICK, Site, bounded, host_of, kubectl, path_of, version
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.errors import Absent
from tests.support.waiting import until

SLOT = "tidegate-shared-slot-05"


async def drift(site: Site) -> Manifest:
    return await site.condition("InferenceGateway", "shared", "Drift")


async def test_an_envoy_filter_edited_by_hand_is_repaired_and_the_writer_named(site: Site, gateways: list[str]):
    for name, path in ((SLOT, "token_bucket"), ("tidegate-shared-slots", "context")):
        before = (await site.get("EnvoyFilter", name, "shared-gw") or {})["spec"]
        spec: Any = json.loads(json.dumps(before))
        patch = spec["configPatches"][0]
        if path == "context":
            patch["match"]["context"] = "ANY"
        else:
            patch["patch"]["value"]["typed_config"]["token_bucket"]["max_tokens"] = 7
        edit = json.dumps({"spec": spec})
        kubectl(
            "-n", "shared-gw", "patch", "envoyfilter", name, "--type=merge", "--field-manager=night-shift", "-p", edit
        )

        async def repaired(name: str = name, before: Any = before) -> bool:
            live = await site.get("EnvoyFilter", name, "shared-gw")
            return live is not None and live["spec"] == before

        await until(repaired, f"{name} being set back")
        await until(lambda name=name: told_of(site, name), "the writer being named")  # type: ignore[misc]
        assert "night-shift" in (await drift(site))["message"]
        (event, *_) = await until(lambda name=name: repairs(site, name), f"an event of {name}")  # type: ignore[misc]
        assert "night-shift" in event["message"]


async def repairs(site: Site, name: str) -> list[Manifest]:
    """Return the events of repairs of an object; they are written after its condition."""
    events = await site.all("Event", "shared-gw")
    return [e for e in events if e["reason"] == "Repaired" and e["involvedObject"]["name"] == name]


async def told_of(site: Site, name: str) -> bool:
    return name in (await drift(site)).get("message", "")


async def test_a_duplicate_of_a_slot_name_is_noticed_and_named(site: Site, gateways: list[str], tenant: str):
    slot = await site.get("EnvoyFilter", SLOT, "shared-gw") or {}
    twin = {
        "apiVersion": slot["apiVersion"],
        "kind": "EnvoyFilter",
        "metadata": {"name": "twin", "namespace": "shared-gw"},
        "spec": slot["spec"],
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(twin))
    try:

        async def noticed() -> bool:
            told = await site.condition("InferenceGateway", "shared", "SlotsUnique")
            return told.get("status") == "False" and "shared-gw/twin" in told["message"]

        await until(noticed, "the duplicate being told")
        await site.make_tenant(tenant)
        await site.make_model(tenant, replicas=1)  # its limit comes to no gateway pod

        async def rejected() -> bool:
            told = await site.condition("InferenceGateway", "shared", "LimitsApplied")
            return told.get("reason") == "Rejected" and "istiod has counted rejections" in told["message"]

        await until(rejected, "the rejection being told with istiod's count")
    finally:
        await site.kube.delete(ObjectKey("EnvoyFilter", "shared-gw", "twin"))

    async def well() -> bool:
        return await site.holds("InferenceGateway", "shared", "SlotsUnique")

    await until(well, "the condition going back")


async def test_what_somebody_else_made_first_is_reported_and_not_forced(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)

    async def there() -> bool:
        try:
            await site.kube.get(ObjectKey("Namespace", "", tenant))
        except Absent:
            return False
        return True

    await until(there, "the tenant's namespace")
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "ranker", "namespace": tenant},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"name": "http", "port": 8080}]},
    }
    kubectl("apply", "--server-side", "--field-manager=argo", "-f", "-", stdin=json.dumps(theirs))
    body = {
        "routes": [{"host": host_of(tenant), "path": path_of("ranker"), "protocol": "http", "port": 8080}],
        "versions": [{"name": "v1", "workload": {"replicas": 1, "image": "docker.io/local/model:1"}}],
        "traffic": [{"version": "v1", "weight": 100}],
    }
    await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker", {"spec": body})

    async def told() -> bool:
        programmed = await site.condition("Model", "ranker", "Programmed", tenant)
        return programmed.get("reason") == "FieldConflict" and "argo" in programmed["message"]

    await until(told, "the conflict being told")
    await asyncio.sleep(2)
    live = await site.get("Service", "ranker", tenant) or {}
    assert live["spec"]["selector"] == {"app": "theirs"}
    await site.kube.delete(ObjectKey("Service", tenant, "ranker"))
    await until(lambda: site.holds("Model", "ranker", "Programmed", tenant), "the model being programmed")


async def test_replicas_scaled_by_hand_are_left_where_they_are_only_to_be_told(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant, drift="report")
    await site.make_model(tenant, replicas=1)
    kubectl("-n", tenant, "scale", "deployment/ranker-v1", "--replicas=2")

    async def told() -> bool:
        found = await site.condition("Model", "ranker", "Drift", tenant)
        return found.get("reason") == "Reported" and "spec.replicas of Deployment" in found["message"]

    await until(told, "the change being told")
    assert "was set by kubectl" in (await site.condition("Model", "ranker", "Drift", tenant))["message"]
    await site.until_total(40, tenant)
    spec = {"versions": [{**version(1), "perReplicaQps": 25}]}
    await site.rest.ok("PATCH", f"/v1/tenants/{tenant}/models/ranker", {"spec": spec})
    await site.until_total(50, tenant)
    live = await site.get("Deployment", "ranker-v1", tenant) or {}
    assert live["spec"]["replicas"] == 2
    body = {"gateway": {"name": "shared"}, "hosts": [{"name": host_of(tenant)}], "drift": "repair"}
    await site.rest.ok("PUT", f"/v1/tenants/{tenant}", {"spec": body})
    await site.until_total(25, tenant)


async def test_fields_that_exclude_ours_are_exchanged_for_them(site: Site, gateways: list[str], tenant: str):
    """The webhook of Istio and Kubernetes' own checks take neither both of them nor, of some, none."""
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    tcp = [{"route": [{"destination": {"host": "ranker", "port": {"number": 8080}}}]}]
    for kind, name, change in (
        ("virtualservice", "ranker", {"http": None, "tcp": tcp}),
        (
            "destinationrule",
            "ranker",
            {"trafficPolicy": {"loadBalancer": {"simple": None, "consistentHash": {"useSourceIp": True}}}},
        ),
        ("poddisruptionbudget", "ranker-v1", {"maxUnavailable": None, "minAvailable": 1}),
    ):
        before = json.loads(kubectl("-n", tenant, "get", kind, name, "-o", "json"))["spec"]
        words = ("-n", tenant, "patch", kind, name, "--type=merge", "--field-manager=night-shift")
        kubectl(*words, "-p", json.dumps({"spec": change}))

        async def back(kind: str = kind, name: str = name, before: Any = before) -> bool:
            return bool(json.loads(kubectl("-n", tenant, "get", kind, name, "-o", "json"))["spec"] == before)

        await until(back, f"{kind} being set back")
    assert await site.holds("Model", "ranker", "Programmed", tenant)


def by_hand(tenant: str) -> list[Manifest]:
    """Return what a team has before it comes: its own pods, a Gateway and a route under the names that it is to keep."""
    labels = {"tidegate.dev/tenant": tenant}
    gateway = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": f"main-{tenant}", "namespace": "shared-gw"},
        "spec": {
            "selector": {"istio": "shared"},
            "servers": [
                {"port": {"number": 8080, "name": "web", "protocol": "HTTP"}, "hosts": [f"{tenant}/{host_of(tenant)}"]}
            ],
        },
    }
    workload, service, route = theirs(tenant)
    route["metadata"] = {"name": "ranker", "namespace": tenant}
    way = [{"uri": {"exact": path_of("ranker")}}, {"uri": {"prefix": path_of("ranker") + "/"}}]
    http = [{**route["spec"]["http"][0], "match": way}]
    route["spec"] |= {"gateways": [f"shared-gw/main-{tenant}"], "http": http}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tenant, "labels": labels}}
    return [namespace, gateway, workload, service, route]


async def test_a_gateway_and_a_route_made_by_hand_are_taken_over_under_load(
    site: Site, gateways: list[str], tenant: str
):
    objects = by_hand(tenant)
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    try:
        kubectl("-n", tenant, "rollout", "status", "deployment/theirs", bounded())
        model = {
            "routes": [{"host": host_of(tenant), "path": path_of("ranker"), "protocol": "http", "port": 8080}],
            "versions": [{"name": "v1", "existing": {"labels": LABELS}}],
            "traffic": [{"version": "v1", "weight": 100}],
            "rateLimit": {"perReplicaQps": 100, "debounce": QUICK},
        }
        adopting = {
            "gateway": {"name": "shared", "adopt": f"main-{tenant}"},
            "hosts": [{"name": host_of(tenant)}],
            "drift": "adopt",
        }
        before = [(await site.get(kind, name, place) or {})["spec"] for kind, name, place in places(tenant)]
        load = Load(host_of(tenant), path_of("ranker"), rate=20)
        async with load.on(*gateways):
            plan = await site.rest.ok("PUT", f"/v1/tenants/{tenant}?dryRun=true", {"spec": adopting})
            assert [c["operation"] for c in plan["changes"] if c["object"].startswith("Gateway")] == ["adopt"]
            assert not plan["touches"]["listeners"]
            await site.rest.ok("PUT", f"/v1/tenants/{tenant}", {"spec": adopting})
            await until(lambda: site.holds("Tenant", tenant, "Programmed"), "the tenant being programmed")
            plan = await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker?dryRun=true", {"spec": model})
            (line,) = [c for c in plan["changes"] if c["object"].startswith("VirtualService")]
            assert (line["operation"], line["server"]) == ("adopt", "accepted")
            assert {step["path"].split("/")[1] for step in line["patch"]} == {"metadata"}
            await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker", {"spec": model})
            await until(lambda: site.holds("Model", "ranker", "Ready", tenant), "the model being ready")
            await site.until_total(200, tenant)
            await load.measure(3)
            after = [(await site.get(kind, name, place) or {})["spec"] for kind, name, place in places(tenant)]
            assert after == before
            await site.rest.ok("PUT", f"/v1/tenants/{tenant}", {"spec": {**adopting, "drift": "repair"}})
            await until(lambda: is_repaired(site, tenant), "the route being as its document says")
            await load.measure(3)
        assert not load.outcome.strange and "429" not in load.outcome.counts, load.outcome.counts
    finally:
        await site.rest.call("DELETE", f"/v1/tenants/{tenant}?cascade=true")
        kubectl("-n", tenant, "delete", "deployment,service", "theirs", "--ignore-not-found")

    async def gone() -> bool:
        return all([await site.get(kind, name, place) is None for kind, name, place in places(tenant)])

    await until(gone, "what was taken over going with its documents")
    kubectl("delete", "namespace", tenant, "--wait=false", "--ignore-not-found")


def places(tenant: str) -> list[tuple[str, str, str]]:
    return [("Gateway", f"main-{tenant}", "shared-gw"), ("VirtualService", "ranker", tenant)]


async def is_repaired(site: Site, tenant: str) -> bool:
    route = await site.get("VirtualService", "ranker", tenant) or {}
    return [http.get("name") for http in route["spec"]["http"]] != [None] and "exportTo" in route["spec"]
