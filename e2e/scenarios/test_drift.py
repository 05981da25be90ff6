"""Somebody else writes: what is ours is set back and the writer named; what was theirs first is left alone."""

import asyncio
import json
from typing import Any

from e2e.support.site import Site, host_of, kubectl, path_of
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

        await until(repaired, 20, f"{name} being set back")
        await until(lambda name=name: told_of(site, name), 20, "the writer being named")  # type: ignore[misc]
        assert "night-shift" in (await drift(site))["message"]
        events = json.loads(kubectl("-n", "shared-gw", "get", "events", "-o", "json"))["items"]
        named = [e for e in events if e["reason"] == "Repaired" and e["involvedObject"]["name"] == name]
        assert named and "night-shift" in named[0]["message"]


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

        await until(noticed, 30, "the duplicate being told")
        await site.make_tenant(tenant)
        await site.make_model(tenant, replicas=1)  # its limit comes to no gateway pod

        async def rejected() -> bool:
            told = await site.condition("InferenceGateway", "shared", "LimitsApplied")
            return told.get("reason") == "Rejected" and "istiod has counted rejections" in told["message"]

        await until(rejected, 60, "the rejection being told with istiod's count")
    finally:
        await site.kube.delete(ObjectKey("EnvoyFilter", "shared-gw", "twin"))

    async def well() -> bool:
        return await site.holds("InferenceGateway", "shared", "SlotsUnique")

    await until(well, 30, "the condition going back")


async def test_what_somebody_else_made_first_is_reported_and_not_forced(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)

    async def there() -> bool:
        try:
            await site.kube.get(ObjectKey("Namespace", "", tenant))
        except Absent:
            return False
        return True

    await until(there, 20, "the tenant's namespace")
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

    await until(told, 30, "the conflict being told")
    await asyncio.sleep(2)
    live = await site.get("Service", "ranker", tenant) or {}
    assert live["spec"]["selector"] == {"app": "theirs"}
    await site.kube.delete(ObjectKey("Service", tenant, "ranker"))
    await until(lambda: site.holds("Model", "ranker", "Programmed", tenant), 90, "the model being programmed")
