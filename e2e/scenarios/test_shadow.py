"""A limit in shadow refuses nothing and counts; enforced, it refuses; the gateway pods' own counters tell."""

import asyncio

from e2e.support.load import Load
from e2e.support.site import QUICK, Site, host_of, path_of, version
from e2e.support.warming import asked
from istio_templates.facts import Manifest
from tests.support.bucket import admissible
from tests.support.waiting import until


async def set_mode(site: Site, tenant: str, mode: str) -> None:
    limit = {"perReplicaQps": 20, "mode": mode, "debounce": QUICK}
    await site.rest.ok("PATCH", f"/v1/tenants/{tenant}/models/ranker", {"spec": {"rateLimit": limit}})


async def is_proved(site: Site, tenant: str, mode: str) -> bool:
    found = await site.rest.ok("GET", f"/v1/tenants/{tenant}/models/ranker/explain")
    return found["mode"] == mode and all(pod["state"] == "Applied" for pod in found["pods"])


async def test_shadow_counts_at_the_gateway_pods_and_enforce_refuses(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_total(40, tenant)
    await set_mode(site, tenant, "shadow")
    await until(lambda: is_proved(site, tenant, "shadow"), "the limit being in shadow at every gateway pod")
    await asyncio.sleep(6)  # one reading, from which the next ones count
    load = Load(host_of(tenant), path_of("ranker"), rate=50)
    async with load.on(*gateways):
        await load.measure(6)
    sent = load.outcome.counts["200"]
    assert set(load.outcome.counts) == {"200"}, load.outcome.counts

    async def counted() -> dict[str, int] | None:
        limit = await site.rest.ok("GET", f"/v1/tenants/{tenant}/models/ranker/limit")
        found = limit.get("observed")
        return found if found and found["requests"] >= sent - 4 else None

    found = await until(counted, f"{sent} requests being counted")
    assert found["requests"] <= sent + 4
    least, most = admissible(load.outcome.sent.values(), 20, within=0.1)
    assert least <= found["requests"] - found["refused"] <= most
    await set_mode(site, tenant, "enforce")
    await until(lambda: is_proved(site, tenant, "enforce"), "the limit being enforced at every gateway pod")
    again = Load(host_of(tenant), path_of("ranker"), rate=50)
    async with again.on(*gateways):
        admitted = await again.limited_to(40, 12, within=0.1)
    assert admitted, admitted


async def test_a_canary_is_held_to_a_limit_of_its_own(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await site.make_model(
        tenant,
        versions=[version(1), {**version(1, "v2"), "perReplicaQps": 5, "rateLimit": {}}],
        traffic=[{"version": "v1", "weight": 50}, {"version": "v2", "weight": 50}],
    )
    await site.until_total(40, tenant)
    await until(lambda: is_proved(site, tenant, "enforce"), "the limits being proved")
    load = Load(host_of(tenant), path_of("ranker"), rate=15, method="POST")
    async with load.on(*gateways):
        await load.measure(6)
    # Every request draws its version: about half of 30 per second go to the canary, of which it takes 5. The other half
    # is within the model's limit; that fewer than 60 of 180 are drawn for it happens once in some hundred thousand times.
    taken = {name: (await asked(await _pod_of(site, tenant, name), "/counts"))["real"] for name in ("v1", "v2")}
    least, most = admissible(load.outcome.sent.values(), 2.5, within=0.2)
    assert least <= taken["v2"] <= most, (taken, load.outcome.counts)
    assert taken["v1"] >= sum(map(len, load.outcome.sent.values())) / 3, (taken, load.outcome.counts)
    before_it_counts = taken["v1"] + taken["v2"] - load.outcome.counts["200"]  # asking whether the route is known
    assert 0 <= before_it_counts <= 2 * len(gateways)
    assert not load.outcome.strange


async def _pod_of(site: Site, tenant: str, name: str) -> Manifest:
    (pod,) = await site.all("Pod", tenant, f"tidegate.dev/version={name}")
    return pod
