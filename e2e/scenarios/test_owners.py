"""Objects and fields of several owners on a real API server: nothing is taken over, lost or deleted without a word."""

import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from e2e.support.observation import repeated
from e2e.support.site import Site, bounded, kubectl
from istio_templates.facts import Manifest, ObjectKey
from tests.support.waiting import until


@contextlib.asynccontextmanager
async def numbers_seen(site: Site, key: ObjectKey) -> AsyncIterator[set[int]]:
    """Note every number of pods that a Deployment declares, again and again."""
    seen: set[int] = set()

    async def look() -> None:
        if live := await site.get(key.kind, key.name, key.namespace):
            seen.add(live["spec"]["replicas"])

    async with repeated(look):
        yield seen


async def owners_of_replicas(site: Site, key: ObjectKey) -> set[str]:
    """Return the field managers that hold the number of pods."""
    live = await site.kube.get(key)
    entries = live["metadata"]["managedFields"]
    return {entry["manager"] for entry in entries if "f:replicas" in entry["fieldsV1"].get("f:spec", {})}


async def is_given_up(site: Site, key: ObjectKey) -> bool:
    return "tidegate" not in await owners_of_replicas(site, key)


async def test_a_gateway_that_goes_from_a_number_to_an_autoscaler_keeps_its_pods(site: Site):
    await site.make_gateway("scaled", replicas=3)
    key = ObjectKey("Deployment", "scaled-gw", "scaled")
    try:
        document: Manifest = await site.rest.ok("GET", "/v1/gateways/scaled")
        spec = {**document["spec"], "managed": {"autoscale": {"min": 2, "max": 5}}}
        async with numbers_seen(site, key) as seen:
            await site.rest.ok("PUT", "/v1/gateways/scaled", {"spec": spec})
            await until(lambda: is_given_up(site, key), "the number being given up")
            await until(lambda: site.get("HorizontalPodAutoscaler", "scaled", "scaled-gw"), "the autoscaler")
        assert seen == {3}
        kubectl("-n", "scaled-gw", "scale", "deployment/scaled", "--replicas=4")  # the new owner changes it
        assert len(await site.ready_pods("scaled-gw", "istio=scaled", 4)) == 4
    finally:
        await site.rest.call("DELETE", "/v1/gateways/scaled")


async def test_a_model_that_gives_up_its_number_keeps_its_replicas(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    path, key = f"/v1/tenants/{tenant}/models/ranker", ObjectKey("Deployment", tenant, "ranker-v1")
    document: Manifest = await site.rest.ok("GET", path)
    del document["spec"]["versions"][0]["workload"]["replicas"]
    plan = await site.rest.ok("PUT", f"{path}?dryRun=true", {"spec": document["spec"]})
    assert any("gives up spec.replicas: it stays 2" in change["server"] for change in plan["changes"]), plan
    async with numbers_seen(site, key) as seen:
        await site.rest.ok("PUT", path, {"spec": document["spec"]})
        await until(lambda: is_given_up(site, key), "the number being given up")
    assert seen == {2}


def foreign(tenant: str) -> list[Manifest]:
    """Return objects of another writer under the names of a model's objects; no field that we apply differs."""
    metadata = {"name": "ranker", "namespace": tenant}
    ports = [{"name": "web", "port": 80, "protocol": "TCP"}]
    marked = {"app.kubernetes.io/managed-by": "tidegate", "tidegate.dev/tenant": tenant, "tidegate.dev/model": "other"}
    rule = {"host": f"other.{tenant}.svc.cluster.local"}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**metadata, "labels": marked},
            "spec": {"selector": {"app": "other"}, "ports": ports},
        },
        {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata, "spec": rule},
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {**metadata, "name": "ranker-v1"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "other"}}},
        },
    ]


@pytest.mark.parametrize("number", range(4), ids=["Service", "Service-of-another-model", "DestinationRule", "Budget"])
async def test_an_object_of_others_is_a_conflict_and_outlives_the_document(
    site: Site, gateways: list[str], tenant: str, number: int
):
    theirs = foreign(tenant)[number]
    key = ObjectKey(theirs["kind"], tenant, theirs["metadata"]["name"])
    await site.make_tenant(tenant)
    await until(lambda: site.get("Namespace", tenant), "the namespace")
    kubectl("apply", "-f", "-", stdin=json.dumps(theirs))
    before = await site.kube.get(key)
    await site.make_model_document(tenant)

    async def told() -> bool:
        found = await site.condition("Model", "ranker", "Programmed", tenant)
        return found.get("reason") == "FieldConflict" and "was made by kubectl" in found["message"]

    await until(told, "the conflict being told")
    assert (await site.kube.get(key))["spec"] == before["spec"]
    await site.rest.ok("DELETE", f"/v1/tenants/{tenant}/models/ranker")
    kubectl("-n", tenant, "wait", "--for=delete", "model/ranker", bounded())
    assert (await site.kube.get(key))["metadata"]["uid"] == before["metadata"]["uid"]
    await site.kube.delete(key)
