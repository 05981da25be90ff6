"""Releases on real gateways: a good version comes step by step, a bad one goes back by itself; nothing else fails."""

import asyncio
import time

import pytest

from e2e.support.collectors import with_collectors
from e2e.support.load import Load
from e2e.support.site import SYSTEM, Site, host_of, kubectl, path_of, version
from istio_templates.facts import Manifest
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
RATE = 30.0
EACH = 20
ROLLOUT = {
    "steps": [{"weight": 25}, {"weight": 50}],
    "hold": "10s",
    "minRequests": 20,
    "checks": [{"name": "errors", "outcome": "5xx", "max": "5%"}],
}


@pytest.fixture(scope="module", autouse=True)
def parts(installed):
    """Have collectors, which count what versions answer."""
    with with_collectors():
        yield


async def make(site: Site, tenant: str, to: str = "v1", **env: str) -> None:
    """Make a model of two versions whose requests go to one of them; `env` makes the second one what it is."""
    versions = [version(2), version(2, "v2", **env)]
    traffic = [{"version": to, "weight": 100}]
    await site.make_model_document(tenant, versions=versions, traffic=traffic, rollout=ROLLOUT)


async def weights(site: Site, tenant: str) -> dict[str, int]:
    """Return the weights of the routes."""
    route = await site.get("VirtualService", "ranker", tenant) or {"spec": {"http": []}}
    parts = [part for rule in route["spec"]["http"] for part in rule.get("route", ())]
    return {part["destination"].get("subset", ""): part.get("weight", 100) for part in parts}


async def released(site: Site, tenant: str) -> Manifest:
    """Return the release as the API shows it."""
    found = await site.rest.ok("GET", f"/v1/tenants/{tenant}/models/ranker/release")
    return found["release"] or {}


async def goes_by(site: Site, tenant: str, **wanted: int) -> None:
    try:
        await until(lambda: _is(site, tenant, wanted), f"{tenant} going by {wanted}")
    except AssertionError as error:
        error.add_note(f"The release says: {await released(site, tenant)}")
        raise


async def _is(site: Site, tenant: str, wanted: dict[str, int]) -> bool:
    return await weights(site, tenant) == wanted


async def prepared(site: Site, tenant: str, **env: str) -> None:
    await site.make_tenant(tenant)
    await make(site, tenant, **env)
    await until(lambda: site.holds("Model", "ranker", "Released", tenant), f"{tenant}/ranker being released")
    await site.until_total(2 * EACH, tenant)


async def test_a_good_version_comes_and_a_bad_one_goes_back(site: Site, gateways: list[str], tenant: str):
    """Side by side, in a tenant each; the leader is killed while the good one has its first step."""
    said = await asyncio.gather(
        good_version_comes(site, gateways, f"{tenant}-good"), bad_version_goes_back(site, gateways, f"{tenant}-bad")
    )
    print("\n".join(said))


async def good_version_comes(site: Site, gateways: list[str], tenant: str) -> str:
    await prepared(site, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        began = time.monotonic()
        await make(site, tenant, to="v2")
        await goes_by(site, tenant, v1=75, v2=25)
        await kill_leader(site)
        await goes_by(site, tenant, v1=50, v2=50)
        await goes_by(site, tenant, v2=100)
        took = time.monotonic() - began
        await load.measure(5)
    assert not load.outcome.strange, load.outcome.counts
    await until(lambda: site.holds("Model", "ranker", "Released", tenant), "the end of the release")
    return f"good: 100 % after {took:.0f} s; {load.outcome.counts}"


async def bad_version_goes_back(site: Site, gateways: list[str], tenant: str) -> str:
    await prepared(site, tenant, MODEL_FAILS="2")
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        await make(site, tenant, to="v2", MODEL_FAILS="2")
        await goes_by(site, tenant, v1=75, v2=25)
        began = time.monotonic()
        await goes_by(site, tenant, v1=100)
        back = time.monotonic()
        await load.measure(10)
    assert not load.outcome.failed_after(back + 2), load.outcome.failed
    assert set(load.outcome.strange) == {"500"}, load.outcome.counts
    share = load.outcome.counts["500"] / max(1.0, RATE * (back - began))
    assert share <= 0.25 * 0.5 * 1.5, f"more failed than the share of the version explains: {load.outcome.counts}"
    found = await released(site, tenant)
    assert found["blocked"][0]["version"] == "v2" and "errors" in found["blocked"][0]["reason"], found
    return f"bad: back at 0 % after {back - began:.0f} s; {load.outcome.counts}"


async def kill_leader(site: Site) -> None:
    lease = await site.get("Lease", "tidegate", SYSTEM)
    assert lease is not None
    pod = lease["spec"]["holderIdentity"].rpartition("-")[0]
    kubectl("-n", SYSTEM, "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
