"""Real Argo Rollouts beside Tidegate: the weights are its, and the limit follows; or both claim them, and it is said."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from e2e.support.argo_rollouts import (
    APP,
    REPLICAS,
    ROLES,
    apply,
    change,
    is_healthy,
    pods,
    promote,
    rollout,
    split,
    status,
    theirs,
    with_argo_rollouts,
    writers,
)
from e2e.support.load import Load
from e2e.support.site import QUICK, Site, host_of, path_of, pause
from istio_templates.facts import Manifest
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
EACH, RATE = 10, 80.0
STEPS = (
    {"setCanaryScale": {"replicas": 1}},
    {"setWeight": 20},
    {"pause": {}},
    {"setWeight": 50},
    {"pause": {}},
    {"setCanaryScale": {"matchTrafficWeight": True}},
)
WHOLE, AT_20, AT_50 = REPLICAS * EACH, 5 * EACH, 2 * EACH
"""The limits: of four replicas; with a fifth, which then has a fifth of the requests; and half of them."""


@pytest.fixture(scope="module", autouse=True)
def parts(installed: None) -> Iterator[None]:
    """Have Argo Rollouts."""
    with with_argo_rollouts():
        yield


def versions() -> list[Manifest]:
    """Return the versions of a model whose pods a Rollout runs."""
    return [{"name": role, "existing": {"labels": {**APP, "role": role}}} for role in ROLES]


def attached() -> Manifest:
    """Return a model that is limited where a Rollout routes."""
    return {
        "attachTo": {"virtualService": "theirs"},
        "versions": versions(),
        "traffic": [{"version": "stable", "weight": 100}],
        "rateLimit": {"perReplicaQps": EACH, "debounce": QUICK},
    }


async def put(site: Site, tenant: str, spec: Manifest) -> None:
    """Write the model as soon as its route is seen."""

    async def accepted() -> bool:
        answered, _ = await site.rest.call("PUT", f"/v1/tenants/{tenant}/models/ranker", {"spec": spec})
        return answered in (200, 201)

    await until(accepted, "the route being seen, and the document accepted")


async def healthy(tenant: str) -> None:
    async def look() -> bool:
        return await asyncio.to_thread(is_healthy, tenant)

    await until(look, f"the Rollout of {tenant} at its end")


async def goes_by(site: Site, tenant: str, *weights: int, route: str = "theirs") -> None:
    async def look() -> bool:
        return await split(site, tenant, route) == weights

    try:
        await until(look, f"{tenant} going by {weights}")
    except AssertionError as error:
        error.add_note(f"The Rollout says: {status(tenant)}")
        raise


@asynccontextmanager
async def limits(site: Site, tenant: str) -> AsyncIterator[list[tuple[float, tuple[int, ...]]]]:
    """Note every other limit that the manager tells, with the weights of that moment."""
    seen: list[tuple[float, tuple[int, ...]]] = []

    async def look() -> None:
        while True:
            total = await site.total(tenant)
            if total is not None and total not in [one for one, _ in seen[-1:]]:
                seen.append((total, await split(site, tenant)))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(look())
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_limit_follows_the_canary_of_a_rollout(site: Site, gateways: list[str], tenant: str) -> None:
    """Argo Rollouts owns the weights; Tidegate does not write the route, and no request is lost."""
    await site.make_tenant(tenant)
    await until(lambda: site.get("Namespace", tenant), "the namespace")
    apply(*theirs(tenant, *STEPS))
    await healthy(tenant)
    await put(site, tenant, attached())
    await site.until_enforced(WHOLE, tenant)
    load, said = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways)), []

    async def is_limited(weights: tuple[int, int], total: float) -> None:
        began = time.monotonic()
        await goes_by(site, tenant, *weights)
        await site.until_enforced(total, tenant)
        took = time.monotonic() - began
        await load.measure(2)
        admitted = await load.limited_to(total, 5, within=0.075)
        assert admitted, (weights, total, admitted)
        said.append(f"{weights}: limit {total}, enforced {took:.1f} s after the look; {admitted.admitted} in 5 s")

    async with limits(site, tenant) as seen, load.on(*gateways):
        await is_limited((100, 0), WHOLE)
        change(tenant, {"spec": {"template": {"spec": pods("v2")}}})
        await is_limited((80, 20), AT_20)
        promote(tenant)
        await is_limited((50, 50), AT_50)
        promote(tenant)
        await healthy(tenant)
        await is_limited((100, 0), WHOLE)
    print("\n".join([*said, f"all limits: {seen}; {load.outcome.counts}"]))
    assert not load.outcome.strange, load.outcome.counts
    totals = {total for total, _ in seen}
    # Before the last step the canary is scaled up at 50 %: two whole sets of replicas then have half of the requests each.
    assert {WHOLE, AT_20, AT_50} <= totals and min(totals) == AT_50 and max(totals) <= 2 * WHOLE, seen
    route = await site.get("VirtualService", "theirs", tenant) or {}
    assert not any(writer.startswith("tidegate") for writer in writers(route)), writers(route)
    assert not await site.condition("Model", "ranker", "Drift", tenant)


async def test_a_rollout_that_is_aborted_has_its_limit_back(site: Site, gateways: list[str], tenant: str) -> None:
    """Without labels of roles its pods differ by a hash alone: that is said, with what to write."""
    await site.make_tenant(tenant)
    await until(lambda: site.get("Namespace", tenant), "the namespace")
    apply(*theirs(tenant, *STEPS, role_labels=False))
    await healthy(tenant)
    await put(site, tenant, attached())

    async def is_said() -> bool:
        found = await site.condition("Model", "ranker", "TrafficFollowed", tenant)
        return found.get("status") == "False" and "stableMetadata and canaryMetadata" in found["message"]

    await until(is_said, "the condition that names the labels to write")
    apply(rollout(tenant, *STEPS, **canary_of(tenant)))
    await site.until_total(WHOLE, tenant)
    change(tenant, {"spec": {"template": {"spec": pods("v2")}}})
    await goes_by(site, tenant, 80, 20)
    await site.until_total(AT_20, tenant)
    change(tenant, {"status": {"abort": True}}, "--subresource=status")
    await goes_by(site, tenant, 100, 0)
    await site.until_total(WHOLE, tenant)
    await until(lambda: site.holds("Model", "ranker", "TrafficFollowed", tenant), "the condition being well again")


def canary_of(tenant: str) -> Manifest:
    """Return the fields of a Rollout that name its Services and its route."""
    found = theirs(tenant)[0]["spec"]["strategy"]["canary"]
    return {name: found[name] for name in ("stableService", "canaryService", "trafficRouting")}


CLAIM = {
    "istio": {
        "virtualService": {"name": "ranker"},
        "destinationRule": {"name": "ranker", "stableSubsetName": "stable", "canarySubsetName": "canary"},
    }
}
FIGHT = 40.0


async def test_a_rollout_that_claims_what_tidegate_renders_is_told(
    site: Site, gateways: list[str], tenant: str
) -> None:
    """Both want the weights: few writes, a condition with the remedy, no request lost; then Tidegate's hold."""
    await site.make_tenant(tenant)
    await until(lambda: site.get("Namespace", tenant), "the namespace")
    apply(rollout(tenant, {"setWeight": 50}, {"pause": {}}))
    await healthy(tenant)
    change(tenant, {"spec": {"template": {"spec": pods("v2")}}})
    traffic = [{"version": "stable", "weight": 70}, {"version": "canary", "weight": 30}]
    await site.make_model(tenant, versions=versions(), traffic=traffic)
    await goes_by(site, tenant, 70, 30, route="ranker")
    load = Load(host_of(tenant), path_of("ranker"), rate=10)
    async with load.on(*gateways):
        change(tenant, {"spec": {"strategy": {"canary": {"trafficRouting": CLAIM}}}})

        async def is_told() -> bool:
            found = await site.condition("Model", "ranker", "Drift", tenant)
            words = ("rollouts-controller", "Argo Rollouts", "trafficRouting", "attachTo")
            return found.get("reason") == "Contested" and all(word in found["message"] for word in words)

        await until(is_told, "the condition that names Argo Rollouts and what to do")
        shares, writes = await fought(site, tenant)
        told = await site.condition("Model", "ranker", "Drift", tenant)
        print(f"{told['message']}\nin {FIGHT:.0f} s: weights {shares}, {writes} writes; {load.outcome.counts}")
        assert writes <= 2 * (3 + FIGHT / 10 + 1), "they write and write"
        change(tenant, {"spec": {"strategy": {"canary": {"trafficRouting": None}}}})
        await goes_by(site, tenant, 70, 30, route="ranker")
        await pause(15)
        assert await split(site, tenant, "ranker") == (70, 30)
        await load.measure(2)
    assert not load.outcome.strange, load.outcome.counts


async def fought(site: Site, tenant: str) -> tuple[Counter[tuple[int, ...]], int]:
    """Return how often each split was seen while both write, and how often the route was written."""
    began, shares = time.monotonic(), Counter[tuple[int, ...]]()
    first = await generation(site, tenant)
    while time.monotonic() - began < FIGHT:
        shares[await split(site, tenant, "ranker")] += 1
        await asyncio.sleep(0.2)
    return shares, await generation(site, tenant) - first


async def generation(site: Site, tenant: str) -> int:
    return int((await site.get("VirtualService", "ranker", tenant) or {})["metadata"]["generation"])
