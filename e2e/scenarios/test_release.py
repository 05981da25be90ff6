"""Releases on real gateways: a good version comes step by step, a bad one goes back by itself; nothing else fails."""

import asyncio
import time

import pytest

from e2e.support.collectors import with_collectors
from e2e.support.load import Load
from e2e.support.releases import ROLLOUT, ask, goes_by, kill_leader, make, prepared, released, weights
from e2e.support.site import MODEL_IMAGE, Site, host_of, kubectl, path_of, version
from istio_templates.facts import Manifest
from tests.support.bounds import hung
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
RATE = 30.0
WEIGHTS = (1, 5, 25, 50)


@pytest.fixture(scope="module", autouse=True)
def parts(installed):
    """Have collectors, which count what versions answer."""
    with with_collectors():
        yield


async def test_a_good_version_comes_and_a_bad_one_goes_back(site: Site, gateways: list[str], tenant: str):
    """Side by side, in a tenant each; the leader is killed while the good one is under way, and the bad one back."""
    is_back = asyncio.Event()
    said = await asyncio.gather(
        good_version_comes(site, gateways, f"{tenant}-good", is_back),
        bad_version_goes_back(site, gateways, f"{tenant}-bad", is_back),
    )
    print("\n".join(said))


async def good_version_comes(site: Site, gateways: list[str], tenant: str, is_alone: asyncio.Event) -> str:
    small = [{"weight": weight, "minRequests": 2} for weight in (1, 5)]
    rollout = {**ROLLOUT, "steps": [*small, {"weight": 25}, {"weight": 50}]}
    await prepared(site, tenant, rollout)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        began = time.monotonic()
        await make(site, tenant, "v2", rollout)
        for weight in (1, 5, 25):
            await goes_by(site, tenant, v1=100 - weight, v2=weight)
        async with asyncio.timeout(hung()):
            await is_alone.wait()
        await kill_leader(site)
        await goes_by(site, tenant, v1=50, v2=50)
        await goes_by(site, tenant, v2=100)
        took = time.monotonic() - began
        await load.measure(5)
    assert not load.outcome.strange, load.outcome.counts
    await until(lambda: site.holds("Model", "ranker", "Released", tenant), "the end of the release")
    return f"good: 100 % after {took:.0f} s; {load.outcome.counts}"


async def bad_version_goes_back(site: Site, gateways: list[str], tenant: str, is_back: asyncio.Event) -> str:
    await prepared(site, tenant, MODEL_FAILS="2")
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        await make(site, tenant, to="v2", MODEL_FAILS="2")
        await goes_by(site, tenant, v1=75, v2=25)
        began = time.monotonic()
        await goes_by(site, tenant, v1=100)
        back = time.monotonic()
        is_back.set()
        await load.measure(10)
    assert not load.outcome.failed_after(back + 2), load.outcome.failed
    assert set(load.outcome.strange) == {"500"}, load.outcome.counts
    share = load.outcome.counts["500"] / max(1.0, RATE * (back - began))
    assert share <= 0.25 * 0.5 * 1.5, f"more failed than the share of the version explains: {load.outcome.counts}"
    found = await released(site, tenant)
    assert found["blocked"][0]["version"] == "v2" and "errors" in found["blocked"][0]["reason"], found
    return f"bad: back at 0 % after {back - began:.1f} s; {load.outcome.counts}"


async def test_a_version_that_is_slow_only_under_load_goes_back(site: Site, gateways: list[str], tenant: str):
    """Two replicas that answer one request at a time in 0.2 s: enough for a tenth of the requests, not for half."""
    slow = {"MODEL_SECONDS": "0.2", "MODEL_AT_ONCE": "1"}
    check = {"name": "slow", "quantile": 0.9, "max": "700ms"}
    rollout = {**ROLLOUT, "steps": [{"weight": 10}, {"weight": 50}], "checks": [check]}
    await prepared(site, tenant, rollout, **slow)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        await make(site, tenant, "v2", rollout, **slow)
        await goes_by(site, tenant, v1=90, v2=10)
        await goes_by(site, tenant, v1=50, v2=50)
        began = time.monotonic()
        await goes_by(site, tenant, v1=100)
        took = time.monotonic() - began
        await load.measure(5)
    assert not load.outcome.strange, load.outcome.counts
    found = await released(site, tenant)
    assert found["blocked"][0]["version"] == "v2" and "slow" in found["blocked"][0]["reason"], found
    print(f"slow under load: back at 0 % {took:.1f} s after it got 50 %; {found['message']}; {load.outcome.counts}")


async def test_what_a_pipeline_registers_is_released_by_itself(site: Site, gateways: list[str], tenant: str):
    """A selection chooses it, its template runs it, the rollout brings it; the document stays as it is written."""
    await site.make_tenant(tenant)
    await register(site, tenant, "v1", 1)
    env = [{"name": "MODEL_VERSION", "value": "{version}"}]
    template = {"like": "v1", "env": env, "images": [MODEL_IMAGE]}
    selection = {"strategy": "dataDriven", "coolDown": "0s", "versionTemplate": template}
    await site.make_model(tenant, versions=[version(2)], rollout=ROLLOUT, selection=selection)
    written = (await site.get("Model", "ranker", tenant) or {})["spec"]
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        await register(site, tenant, "v2", 2)
        await goes_by(site, tenant, v2=100)
        await load.measure(5)
    assert not load.outcome.strange, load.outcome.counts
    assert (await site.get("Model", "ranker", tenant) or {})["spec"] == written
    found = await site.rest.ok("GET", f"/v1/tenants/{tenant}/modelversions/ranker-v2")
    assert found["status"]["weight"] == 100, found


async def register(site: Site, tenant: str, name: str, day: int) -> None:
    """Register a version as a training pipeline does."""
    body = {"model": "ranker", "version": name, "image": MODEL_IMAGE, "dataUntil": f"2026-10-0{day}T00:00:00Z"}
    await site.rest.ok("POST", f"/v1/tenants/{tenant}/modelversions", body)


async def test_a_version_that_never_warms_gets_no_request(site: Site, gateways: list[str], tenant: str):
    never = {"MODEL_LOAD_SECONDS": "86400"}
    await prepared(site, tenant, **never)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        await make(site, tenant, "v2", **never)
        await until(lambda: waits_for(site, tenant, "Warming"), "the release waiting for warm replicas")
        await load.measure(15)
        assert await weights(site, tenant) == {"v1": 100}
        await ask(site, tenant, "abort")
        await until(lambda: waits_for(site, tenant, "ByHand", "VersionBlocked"), "the release being aborted")
        await load.measure(3)
    assert await weights(site, tenant) == {"v1": 100}
    assert not load.outcome.strange, load.outcome.counts


async def waits_for(site: Site, tenant: str, *reasons: str) -> bool:
    return (await released(site, tenant)).get("reason") in reasons


async def test_aborts_killed_leaders_a_changed_document_and_a_rolled_gateway_pod_lose_nothing(
    site: Site, gateways: list[str], tenant: str
):
    """At each step, which waits for approval, something happens; only the two versions answer, and nothing fails."""
    steps = [{"weight": weight, "approval": True, "minRequests": min(5, 1 + weight)} for weight in WEIGHTS]
    await prepared(site, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        took = [await back_from(site, tenant, weight) for weight in (*WEIGHTS, 100)]
        await begin(site, tenant, {"weight": 25})
        await step(site, tenant, 25)
        await make(site, tenant, "v1")
        await goes_by(site, tenant, v1=100)
        await begin(site, tenant, *steps)
        for weight in WEIGHTS:
            await step(site, tenant, weight)
            if weight == 25:
                await roll(site, load, gateways[0])
            await kill_leader(site)
            await approve(site, tenant, weight)
        await goes_by(site, tenant, v2=100)
        await kill_leader(site)
        await make(site, tenant, "v1")
        await goes_by(site, tenant, v1=100)
        await load.measure(3)
    shown = ", ".join(f"{one:.1f}" for one in took)
    print(f"back at 0 % from {WEIGHTS} and 100 % after {shown} s; {load.outcome.counts}")
    assert not load.outcome.strange, load.outcome.counts


async def begin(site: Site, tenant: str, *steps: Manifest) -> None:
    """Begin a release with some steps, whether its version is blocked or not."""
    await make(site, tenant, "v2", {**ROLLOUT, "steps": list(steps)})
    await ask(site, tenant, "retry")


async def back_from(site: Site, tenant: str, weight: int) -> float:
    """Go to a step and abort; return how long the requests took to be back."""
    await begin(site, tenant, {"weight": min(weight, 50), "approval": True})
    if weight == 100:
        await step(site, tenant, 50)
        await ask(site, tenant, "promote")
    await step(site, tenant, weight)
    began = time.monotonic()
    await ask(site, tenant, "abort")
    await goes_by(site, tenant, v1=100)
    return time.monotonic() - began


async def step(site: Site, tenant: str, weight: int) -> None:
    await goes_by(site, tenant, **{name: share for name, share in (("v1", 100 - weight), ("v2", weight)) if share})


async def approve(site: Site, tenant: str, weight: int) -> None:
    await until(lambda: waits_for(site, tenant, "NotApproved"), f"the step at {weight} % waiting for approval")
    await ask(site, tenant, "approve")


async def roll(site: Site, load: Load, address: str) -> None:
    """Replace a gateway pod; requests go to the others meanwhile, and then to its successor too."""
    await load.stop(address)
    (pod,) = [pod for pod in await site.gateway_pods("shared-gw", "istio=shared") if pod["status"]["podIP"] == address]
    kubectl("-n", "shared-gw", "delete", "pod", pod["metadata"]["name"], "--wait=false")
    await until(lambda: successor(site, address), "another gateway pod being there")
    (other,) = set(await site.ready_pods("shared-gw", "istio=shared", 2)) - set(load.addresses)
    load.start(other)


async def successor(site: Site, address: str) -> bool:
    return address not in await site.addresses("shared-gw", "istio=shared")
