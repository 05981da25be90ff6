"""Mirrored steps on real gateways: callers see the stable version alone, whatever becomes of the copies."""

import asyncio
import time

import aiohttp
import pytest

from collectors import cluster_counters
from e2e.scenarios.test_release import goes_by, released, weights
from e2e.support.collectors import with_collectors
from e2e.support.load import Load
from e2e.support.site import Site, host_of, path_of, version
from e2e.support.warming import asked
from istio_templates import names
from istio_templates.facts import Manifest
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
RATE = 30.0
EACH = 20
SHARE = 20
CHECKED = 10
"""Seconds for which requests and their copies are counted."""
ROLLOUT = {
    "mayBeCalledTwice": True,
    "steps": [{"mirror": f"{SHARE}%", "approval": True}, {"weight": 50}],
    "hold": "10s",
    "minRequests": 40,
    "checks": [
        {"name": "errors", "outcome": "5xx", "max": "5%"},
        {"name": "slow", "quantile": 0.9, "max": "1s"},
    ],
}


@pytest.fixture(scope="module", autouse=True)
def parts(installed):
    """Have collectors, which count what versions answer once they have a weight."""
    with with_collectors():
        yield


async def make(site: Site, tenant: str, to: str = "v1", **env: str) -> None:
    """Make a model of two versions whose requests go to one of them; `env` makes the second one what it is."""
    versions = [version(2), version(2, "v2", **env)]
    traffic = [{"version": to, "weight": 100}]
    await site.make_model_document(tenant, versions=versions, traffic=traffic, rollout=ROLLOUT)


async def prepared(site: Site, tenant: str, **env: str) -> None:
    await site.make_tenant(tenant)
    await make(site, tenant, **env)
    await until(lambda: site.holds("Model", "ranker", "Released", tenant), f"{tenant}/ranker being released")
    await site.until_total(2 * EACH, tenant)


async def mirrored(site: Site, tenant: str) -> float:
    """Return the per cent that the route mirrors to v2."""
    route = await site.get("VirtualService", "ranker", tenant) or {"spec": {"http": []}}
    found = [one for rule in route["spec"]["http"] for one in rule.get("mirrors", ())]
    return max((one["percentage"]["value"] for one in found if one["destination"]["subset"] == "v2"), default=0)


async def is_mirrored(site: Site, tenant: str, share: float) -> bool:
    return await mirrored(site, tenant) == share


async def edges(gateway: str, tenant: str) -> set[float]:
    """Return the milliseconds at which a gateway pod divides the latency of a version."""
    cluster = names.cluster(tenant, "ranker", 8080, "v2")
    async with aiohttp.ClientSession(trust_env=False) as session:
        found = await cluster_counters.read(session, gateway, 15090, [cluster]) or {}
    return set(found[cluster].latency)


async def counts(site: Site, tenant: str, name: str) -> int:
    """Return how many requests the replicas of a version have counted themselves."""
    pods = await site.all("Pod", tenant, f"tidegate.dev/version={name}")
    return sum(await asyncio.gather(*(_real(pod) for pod in pods)))


async def _real(pod: Manifest) -> int:
    return int((await asked(pod, "/counts"))["real"])


async def test_copies_reach_the_new_version_and_callers_see_none_of_it(site: Site, gateways: list[str], tenant: str):
    """Side by side, in a tenant each."""
    said = await asyncio.gather(
        good_version_is_mirrored_to(site, gateways, f"{tenant}-good"),
        failing_version_never_has_a_weight(site, gateways, f"{tenant}-bad"),
    )
    print("\n".join(said))


async def good_version_is_mirrored_to(site: Site, gateways: list[str], tenant: str) -> str:
    await prepared(site, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways), method="POST")
    async with load.on(*gateways):
        await make(site, tenant, to="v2")
        await until(lambda: is_mirrored(site, tenant, SHARE), f"{tenant} being mirrored")
        await load.measure(2)
        before = await asyncio.gather(counts(site, tenant, "v1"), counts(site, tenant, "v2"))
        await load.measure(CHECKED)
        after = await asyncio.gather(counts(site, tenant, "v1"), counts(site, tenant, "v2"))
        real, copies = (end - start for start, end in zip(before, after, strict=True))
        assert 0.5 * SHARE < 100 * copies / real < 1.5 * SHARE, (real, copies)
        await until(lambda: waits_for(site, tenant, "NotApproved"), "the mirrored step to pass")
        assert await weights(site, tenant) == {"v1": 100}
        assert await edges(gateways[0], tenant) >= {1.5, 150.0}, "managed gateways divide latency finely"
        found = await released(site, tenant)
        assert {one["verdict"] for one in found["checks"]} == {"pass"}, found
        assert all(one["requests"] >= ROLLOUT["minRequests"] for one in found["checks"]), found
        await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker/release", {"action": "approve"})
        await goes_by(site, tenant, v1=50, v2=50)
        assert await mirrored(site, tenant) == 0
    assert not load.outcome.strange, load.outcome.counts
    return f"good: {copies} copies of {real} requests, {found['message']}; {load.outcome.counts}"


async def failing_version_never_has_a_weight(site: Site, gateways: list[str], tenant: str) -> str:
    await prepared(site, tenant, MODEL_FAILS="2")
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways), method="POST")
    seen: set[int] = set()
    async with load.on(*gateways):
        await make(site, tenant, to="v2", MODEL_FAILS="2")
        await until(lambda: is_mirrored(site, tenant, SHARE), f"{tenant} being mirrored")
        began = time.monotonic()

        async def look() -> bool:
            seen.add((await weights(site, tenant)).get("v2", 0))
            return (await released(site, tenant)).get("phase") == "Aborted"

        await until(look, f"the release of {tenant} being aborted")
        took = time.monotonic() - began
        await until(lambda: is_mirrored(site, tenant, 0), "the mirror being taken away")
        await load.measure(5)
    assert seen == {0} and await weights(site, tenant) == {"v1": 100}
    assert not load.outcome.strange, load.outcome.counts
    found = await released(site, tenant)
    assert found["blocked"][0]["version"] == "v2" and f"{SHARE} % mirrored failed: errors" in found["message"], found
    return f"bad: aborted after {took:.0f} s of {SHARE} % mirrored; {found['message']}; {load.outcome.counts}"


async def waits_for(site: Site, tenant: str, reason: str) -> bool:
    return (await released(site, tenant)).get("reason") == reason
