"""An override is enforced by the gateway pods, proved by the probe, and ends; Kubernetes decides who may set one."""

import json

from e2e.support.load import Load
from e2e.support.site import Site, host_of, kubectl, path_of
from tests.support.waiting import until


async def test_an_override_is_enforced_proved_and_ends_by_itself(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_enforced(40, tenant)
    place = f"/v1/tenants/{tenant}/models/ranker/limit"
    load = Load(host_of(tenant), path_of("ranker"), rate=60)
    async with load.on(*gateways):
        before = await load.limited_to(40, 4, within=0.1)
        body = {"total": 10, "reason": "the scenario", "ttl": "1h", "author": "e2e"}  # longer than anything measured
        await site.rest.ok("PUT", f"{place}/override", body)
        await site.until_enforced(10, tenant)
        # Long enough that the slot's rewrites, which fill its buckets again, weigh little beside a limit of 10/s.
        meanwhile = await load.limited_to(10, 12, within=0.1)
        await site.rest.ok("DELETE", f"{place}/override")
        await site.until_enforced(40, tenant)
        await site.rest.ok("PUT", f"{place}/override", {**body, "total": 15, "ttl": "25s"})
        await until(lambda: is_at(site, tenant, 15), "the short override")
        await site.until_enforced(40, tenant)  # it ends by itself
    assert not load.outcome.strange, load.outcome.counts
    assert before and meanwhile, (before, meanwhile)
    assert await site.holds("InferenceGateway", "shared", "LimitsApplied")


async def test_rights_say_who_may_override_what(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant, rateLimit={"range": {"lowest": 5, "highest": 50}})
    await site.make_model(tenant, replicas=1)
    kubectl("-n", tenant, "create", "rolebinding", "own", "--clusterrole=tidegate-limit-operator", "--user=ada")
    try:
        assert may("ada", tenant) and not may("ada", "tidegate-system") and not may("bob", tenant)
        kubectl("apply", "--as=ada", "-f", "-", stdin=json.dumps(override(tenant, 30)))
        await site.until_total(30, tenant)
        kubectl("apply", "--as=ada", "-f", "-", stdin=json.dumps(override(tenant, 70)))
        await until(lambda: refused(site, tenant), "70/s being refused")
        await site.until_total(20, tenant)
    finally:
        kubectl("-n", tenant, "delete", "limitoverride,rolebinding", "own", "--ignore-not-found")


def may(who: str, namespace: str) -> bool:
    asked = ("auth", "can-i", "create", "limitoverrides.tidegate.dev", f"--as={who}", "-n", namespace)
    return kubectl(*asked, check=False).strip() == "yes"


def override(tenant: str, total: float) -> dict:
    spec = {"author": "ada", "reason": "the scenario", "expires": "2999-01-01T00:00:00Z", "target": {"model": "ranker"}}
    metadata = {"name": "own", "namespace": tenant}
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "LimitOverride",
        "metadata": metadata,
        "spec": {**spec, "total": total},
    }


async def is_at(site: Site, tenant: str, total: float) -> bool:
    return await site.total(tenant) == total


async def refused(site: Site, tenant: str) -> bool:
    condition = await site.condition("LimitOverride", "own", "Accepted", tenant)
    return "is outside the range of tenant" in condition.get("message", "")
