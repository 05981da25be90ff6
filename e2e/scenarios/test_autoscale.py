"""The capacity loop: refused demand brings replicas, warm replicas raise the limit, and what is not needed goes."""

import pytest

from e2e.support.collectors import with_collectors
from e2e.support.external_metrics import with_external_metrics
from e2e.support.load import Load
from e2e.support.replicas import history, replicas
from e2e.support.site import Site, host_of, kubectl, path_of, version
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


@pytest.mark.parametrize("writer", WRITERS)
async def test_replicas_follow_demand_and_the_limit_follows_warm_replicas(
    site: Site, gateways: list[str], tenant: str, writer: str
) -> None:
    await site.make_tenant(tenant)
    await site.make_model(tenant, versions=[autoscaled(writer)])
    await site.until_total(LEAST * EACH, tenant)
    low, high = (Load(host_of(tenant), path_of("ranker"), rate=rate / len(gateways)) for rate in (LOW, HIGH))
    async with low.on(*gateways):
        await low.measure(40)
        assert await replicas(site, tenant) == LEAST
    async with history(site, tenant) as seen:
        async with high.on(*gateways):
            took = await high.until_admitted()
            count = await replicas(site, tenant)
            assert 0.7 * HIGH / EACH < count <= MOST, seen
            await site.until_total(count * EACH, tenant)
        assert high.outcome.counts["429"] > 0 and not high.outcome.strange
        async with low.on(*gateways):
            refused = low.outcome.counts["429"]
            await until(lambda: is_down(site, tenant), "the replicas that are not needed going")
            await low.measure(40)
        assert not low.outcome.strange and low.outcome.counts["429"] == refused
    up = seen[: seen.index(max(seen)) + 1]
    down = seen[seen.index(max(seen)) :]
    assert up == sorted(up) and down == sorted(down, reverse=True), f"it flaps: {seen}"
    print(f"writer {writer}: refusals ended {took:.0f} s after the step; replicas {seen}; {high.outcome.counts}")
    found = kubectl("-n", tenant, "get", "model", "ranker", "-o", "jsonpath={.status.autoscale[0].signals[0].name}")
    assert found == "demand"


async def is_down(site: Site, tenant: str) -> bool:
    return await replicas(site, tenant) == LEAST and await site.total(tenant) == LEAST * EACH
