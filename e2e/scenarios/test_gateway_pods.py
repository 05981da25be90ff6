"""Gateway pods come and go: each has its share, and all together never more than the limit."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction

from e2e.support.load import Load
from e2e.support.observation import repeated
from e2e.support.site import Site, host_of, is_ready, kubectl, path_of
from istio_templates.envoy_filter import limits_of
from istio_templates.facts import Manifest
from tests.support.waiting import until

WATCHED = "istio=moving"


@asynccontextmanager
async def recorded(site: Site, tenant: str) -> AsyncIterator[list[tuple[int, Fraction]]]:
    """Note, again and again, how many gateway pods admit requests and what share each of them has."""
    seen: list[tuple[int, Fraction]] = []

    async def look() -> None:
        filters = await site.all("EnvoyFilter", "moving-gw")
        pods = await site.gateway_pods("moving-gw", WATCHED)
        rates = [bucket.rate for obj in filters for identity, bucket in limits_of(obj) if identity.place[0] == tenant]
        if rates:
            seen.append((sum(map(is_ready, pods)), rates[0]))

    async with repeated(look):
        yield seen


async def scale(site: Site, replicas: int) -> list[str]:
    gateway: Manifest = await site.rest.ok("GET", "/v1/gateways/moving")
    gateway["spec"]["managed"]["replicas"] = replicas
    await site.rest.ok("PUT", "/v1/gateways/moving", {"spec": gateway["spec"]})
    return await site.ready_pods("moving-gw", WATCHED, replicas)


async def staying(site: Site, count: int) -> list[str]:
    """Return the addresses of the pods that do not leave, once there are `count` of them."""
    pods = await site.gateway_pods("moving-gw", WATCHED)
    found = [pod["status"].get("podIP", "") for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return found if len(found) == count else []


async def test_scaling_from_two_to_three_to_one_under_load_never_exceeds_the_limit(site: Site, tenant: str):
    first = await site.make_gateway("moving")
    try:
        await site.make_tenant(tenant, "moving")
        await site.make_model(tenant, replicas=3)
        await site.until_total(60, tenant)
        load = Load(host_of(tenant), path_of("ranker"), rate=60)
        async with recorded(site, tenant) as seen, load.on(*first):
            await load.measure(3)
            more = set(await scale(site, 3)) - set(first)
            for address in more:
                load.start(address)
            await load.measure(4)
            at_three = await load.limited_to(60, 6, within=0.075)
            kubectl("-n", "moving-gw", "get", "pods")
            gone = asyncio.create_task(scale(site, 1))
            for address in {*first, *more} - set(await until(lambda: staying(site, 1), "two pods leaving")):
                await load.stop(address)
            await gone
            await load.measure(4)
            at_one = await load.limited_to(60, 6, within=0.075)
        assert not load.outcome.strange, load.outcome.counts
        excess = [(pods, float(rate)) for pods, rate in seen if pods * rate > 60]
        assert not excess, json.dumps(excess)
        assert {pods for pods, _ in seen} >= {1, 2, 3}
        assert at_three and at_one, (at_three, at_one)
    finally:
        await site.rest.ok("DELETE", f"/v1/tenants/{tenant}?cascade=true")
        await site.rest.call("DELETE", "/v1/gateways/moving?cascade=true")


async def test_gateway_pods_that_were_evicted_take_no_share(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_enforced(40, tenant)
    names = [f"evicted-{tenant}-{number}" for number in range(3)]
    try:
        for name in names:
            kubectl("apply", "-f", "-", stdin=json.dumps(nowhere(name)))
        await until(lambda: pods_in_limit(site, tenant, 5), "pods that start taking their share")
        for name in names:
            status = json.dumps({"status": {"phase": "Failed", "reason": "Evicted"}})
            kubectl("-n", "shared-gw", "patch", "pod", name, "--subresource=status", "--type=merge", "-p", status)
        await until(lambda: pods_in_limit(site, tenant, 2), "evicted pods giving their share back")
        await site.until_enforced(40, tenant)
    finally:
        kubectl("-n", "shared-gw", "delete", "pod", *names, "--ignore-not-found", "--now")


async def pods_in_limit(site: Site, tenant: str, count: int) -> bool:
    limit = await site.rest.ok("GET", f"/v1/tenants/{tenant}/models/ranker/limit")
    return limit["gateways"] == count


def nowhere(name: str) -> Manifest:
    """Return a gateway pod that no node takes."""
    container = {"name": "istio-proxy", "image": "example.com/none"}
    spec = {"nodeSelector": {"no": "node"}, "automountServiceAccountToken": False, "containers": [container]}
    metadata = {"name": name, "namespace": "shared-gw", "labels": {"istio": "shared"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
