"""The capacity loop: refused demand brings replicas, warm replicas raise the limit, and what is not needed goes."""

import asyncio

import pytest

from e2e.support.collectors import with_collectors
from e2e.support.external_metrics import with_external_metrics
from e2e.support.load import Load
from e2e.support.replicas import history, replicas
from e2e.support.site import Site, host_of, path_of, version
from istio_templates.facts import ObjectKey
from tests.support.keda import scaled_object_crd
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
WRITERS = ("tidegate", "hpa")
EACH, LEAST, MOST = 20, 2, 8
LOW, HIGH = 0.5 * LEAST * EACH, 3.0 * LEAST * EACH


@pytest.fixture(scope="module", autouse=True)
def parts(installed):
    """Have collectors, and external metrics for the HPA of Kubernetes."""
    with with_collectors(), with_external_metrics():
        yield


def autoscaled(writer: str) -> dict:
    found = version(0)
    del found["workload"]["replicas"]
    signals = [{"name": "demand", "target": "80%"}]
    down = {"window": "30s", "step": "50%"}
    found["autoscale"] = {"min": LEAST, "max": MOST, "signals": signals, "scaleDown": down, "writer": writer}
    return found


async def test_replicas_follow_demand_and_the_limit_follows_warm_replicas(
    site: Site, gateways: list[str], tenant: str
) -> None:
    """Each writer in a tenant of its own, side by side."""
    said = await asyncio.gather(
        *(loop_is_closed(site, gateways, f"{tenant}-{writer[:3]}", writer) for writer in WRITERS)
    )
    print("\n".join(said))


async def loop_is_closed(site: Site, gateways: list[str], tenant: str, writer: str) -> str:
    await site.make_tenant(tenant)
    await site.make_model(tenant, versions=[autoscaled(writer)])
    await site.until_total(LEAST * EACH, tenant)
    low, high = (Load(host_of(tenant), path_of("ranker"), rate=rate / len(gateways)) for rate in (LOW, HIGH))
    async with low.on(*gateways):
        await low.measure(35)
        assert await replicas(site, tenant) == LEAST
    async with history(site, tenant) as seen:
        async with high.on(*gateways):
            took = await high.until_admitted()
            count = await replicas(site, tenant)
            assert 0.7 * HIGH / EACH < count <= MOST, seen
            await site.until_total(count * EACH, tenant)
        assert high.outcome.counts["429"] > 0 and not high.outcome.strange
        async with low.on(*gateways):
            await until(lambda: is_down(site, tenant), "the replicas that are not needed going")
            await low.measure(20)
        # A sender on a busy machine sends some at once that were to come one by one: a bucket refuses the last of them.
        counts = low.outcome.counts
        assert not low.outcome.strange and counts["429"] <= 0.01 * counts["200"], counts
    top = seen.index(max(seen))
    up, down = seen[: top + 1], seen[top:]
    assert up == sorted(up) and down == sorted(down, reverse=True), f"it flaps: {seen}"
    return f"writer {writer}: refusals ended {took:.0f} s after the step; replicas {seen}; {high.outcome.counts}"


async def is_down(site: Site, tenant: str) -> bool:
    return await replicas(site, tenant) == LEAST and await site.total(tenant) == LEAST * EACH


async def test_a_scaled_object_is_made_repaired_and_taken_away_again(site: Site, gateways: list[str], tenant: str):
    """Without KEDA, whose definition alone is there: what the manager does with the object."""
    definition = scaled_object_crd()
    await site.kube.apply(definition, force=True, manager="kubectl")
    await site.make_tenant(tenant)
    await site.make_model_document(tenant, versions=[autoscaled("keda")])

    async def most() -> int | None:
        found = await site.get("ScaledObject", "ranker-v1", tenant)
        return found["spec"]["maxReplicaCount"] if found else None

    async def is_made() -> bool:
        return await most() == MOST

    await until(is_made, "the ScaledObject")
    await site.kube.merge(ObjectKey("ScaledObject", tenant, "ranker-v1"), {"spec": {"maxReplicaCount": 99}})
    await until(is_made, "the ScaledObject being set back")
    await site.make_model_document(tenant, versions=[autoscaled("tidegate")])

    async def is_gone() -> bool:
        return await most() is None

    await until(is_gone, "no ScaledObject")
    await site.kube.delete(ObjectKey("CustomResourceDefinition", "", definition["metadata"]["name"]))
