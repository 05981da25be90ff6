"""A team gets its gateway, its routes and its limit; the limit follows the replicas; nothing is left over."""

from e2e.support.envoy import DRAINED, LISTENERS, stats
from e2e.support.load import ROUTED, Load
from e2e.support.site import QUICK, Site, host_of, path_of
from tests.support.waiting import until

OWNED = "app.kubernetes.io/managed-by=tidegate"


async def pods_of(site: Site) -> list[str]:
    return [pod["metadata"]["name"] for pod in await site.gateway_pods("shared-gw", "istio=shared")]


async def test_the_limit_follows_the_replicas_and_both_gateway_pods_enforce_it(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_total(40, tenant)
    names = await pods_of(site)
    before = {name: stats("shared-gw", name, LISTENERS) | stats("shared-gw", name, DRAINED) for name in names}
    load = Load(host_of(tenant), path_of("ranker"), rate=80)
    async with load.on(*gateways):
        for replicas in (2, 4, 1):
            await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker/versions/v1/scale", {"replicas": replicas})
            await site.until_enforced(20 * replicas, tenant)
            await load.measure(1.5)
            admitted = await load.limited_to(20 * replicas, 8)
            assert admitted, (replicas, admitted)
    assert not load.outcome.strange
    after = {name: stats("shared-gw", name, LISTENERS) | stats("shared-gw", name, DRAINED) for name in names}
    assert after == before


async def test_each_gateway_pod_admits_its_share_and_refuses_with_a_reason(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=1)
    await site.until_enforced(20, tenant)
    for address in gateways:
        load = Load(host_of(tenant), path_of("ranker"), rate=60)
        async with load.on(address):
            await load.measure(1)
            admitted = await load.limited_to(10, 6)
        assert admitted, (address, admitted)
        assert set(load.outcome.counts) == {"200", "429"}


async def test_what_was_made_goes_with_its_documents_and_nothing_else_does(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await site.make_tenant(f"{tenant}-ads")
    await site.make_model(tenant, replicas=1)
    await site.make_model(f"{tenant}-ads", replicas=1)
    await site.rest.ok("DELETE", f"/v1/tenants/{tenant}?cascade=true")

    async def gone() -> bool:
        return await site.get("Namespace", tenant) is None and await site.get("Tenant", tenant) is None

    await until(gone, "the tenant and its namespace being gone")
    for kind in ("VirtualService", "DestinationRule", "Gateway", "EnvoyFilter", "Deployment", "Service"):
        left = [o["metadata"]["name"] for o in await site.all(kind, "", f"{OWNED},tidegate.dev/tenant={tenant}")]
        assert left == [], kind
    slots = [o for o in await site.all("EnvoyFilter", "shared-gw", OWNED) if f"/namespaces/{tenant}/" in str(o["spec"])]
    assert slots == []
    load = Load(host_of(f"{tenant}-ads"), path_of("ranker"), rate=20)
    async with load.on(*gateways):
        await load.measure(2)
    assert load.outcome.counts["200"] > 20 and not load.outcome.strange


async def test_zero_replicas_are_legal_and_the_first_one_opens_the_route_again(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await site.make_model(
        tenant, replicas=0, rateLimit={"perReplicaQps": 20, "fallback": {"cold": "closed"}, "debounce": QUICK}
    )
    await until(lambda: site.holds("Model", "ranker", "Programmed", tenant), "the model being programmed")
    load = Load(host_of(tenant), path_of("ranker"), rate=10)
    async with load.on(*gateways, once=ROUTED):
        await until(lambda: load.outcome.counts["503"], "the closed route")
        load.outcome.counts.clear()
        await load.measure(2)
        assert set(load.outcome.counts) <= {"503", "429"} and load.outcome.counts["503"]
        await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker/versions/v1/scale", {"replicas": 1})
        await until(lambda: load.outcome.counts["200"] > 10, "answers")
