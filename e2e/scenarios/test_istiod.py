"""istiod goes and comes back: traffic and limits stay, writes wait, and no new gateway pod lets more through."""

import asyncio

from e2e.support.load import Load
from e2e.support.site import Site, bounded, host_of, kubectl, path_of
from tests.support.waiting import until


def scale_istiod(replicas: int) -> None:
    kubectl("-n", "istio-system", "scale", "deployment/istiod", f"--replicas={replicas}")
    if replicas:
        kubectl("-n", "istio-system", "rollout", "status", "deployment/istiod", bounded())
    else:
        kubectl("-n", "istio-system", "wait", "--for=delete", "pod", "-l", "app=istiod", bounded())


async def test_istiod_away_means_writes_wait_and_traffic_and_limits_go_on(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_enforced(40, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=60)
    async with load.on(*gateways):
        await load.measure(1)
        await asyncio.to_thread(scale_istiod, 0)
        try:
            await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker/versions/v1/scale", {"replicas": 4})
            other = {"gateway": {"name": "shared"}, "hosts": [{"name": host_of(f"{tenant}-b")}]}
            await site.rest.ok("PUT", f"/v1/tenants/{tenant}-b", {"spec": other})

            async def waits() -> bool:
                told = await site.condition("Tenant", f"{tenant}-b", "Programmed")
                return told.get("reason") == "ValidatorUnavailable"

            await until(waits, "the tenant being told to wait for Istio's validator")
            admitted = await load.limited_to(40, 6, within=0.075)
            assert admitted, admitted
        finally:
            await asyncio.to_thread(scale_istiod, 1)
        await until(lambda: site.holds("Tenant", f"{tenant}-b", "Programmed"), "the tenant being programmed")
        await site.until_total(80, tenant)

        async def enforced() -> bool:
            since, to = await load.measure(3)
            return load.outcome.is_limited_to(80, since, to, within=0.075)

        await until(enforced, "the new limit at the gateways")
    assert not load.outcome.strange, load.outcome.counts


async def test_a_gateway_pod_that_starts_under_load_never_admits_beyond_its_share(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=1)
    await site.until_total(20, tenant)
    kubectl("-n", "istio-system", "rollout", "restart", "deployment/istiod")
    kubectl("-n", "istio-system", "rollout", "status", "deployment/istiod", bounded())
    old = (await site.gateway_pods("shared-gw", "istio=shared"))[0]["metadata"]["name"]
    kubectl("-n", "shared-gw", "delete", "pod", old, "--wait=false")

    async def fresh() -> str:
        pods = await site.gateway_pods("shared-gw", "istio=shared")
        known = set(gateways)
        return next((a for p in pods if (a := p["status"].get("podIP", "")) and a not in known), "")

    address = await until(fresh, "a new gateway pod with an address")
    load = Load(host_of(tenant), path_of("ranker"), rate=50)
    async with load.on(address, once=frozenset()):
        await until(lambda: load.outcome.counts["200"], "the first answer of the new pod")
        await load.measure(5)
    worst = max(most_within(load.outcome.admitted, 1.0), default=0)
    # Its share is 10/s with a bucket of 2; a second can see both ends of a bucket.
    assert worst <= 10 + 2 + 1, (worst, load.outcome.counts)
    await site.ready_pods("shared-gw", "istio=shared", 2)


def most_within(moments: list[float], seconds: float) -> list[int]:
    """Return, for every moment, how many there are in the span that it begins."""
    return [sum(at <= other < at + seconds for other in moments) for at in moments]
