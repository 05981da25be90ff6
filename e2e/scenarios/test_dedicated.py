"""A gateway of a tenant's own, and moving between it and the shared one without a failed request."""

from collections.abc import AsyncIterator

import pytest

from e2e.support.install import settled
from e2e.support.load import Load
from e2e.support.site import SYSTEM, Site, host_of, kubectl, path_of
from tests.support.waiting import until

OVERLAP = 60
"""Longer than any machine needs to send to the new gateway instead of the old one."""


@pytest.fixture
async def short_overlap(site: Site) -> AsyncIterator[None]:
    """Let a move end within a minute instead of many."""
    kubectl("-n", SYSTEM, "set", "env", "deployment/tidegate", f"TIDEGATE_GATEWAY_OVERLAP={OVERLAP}")
    settled()
    yield
    kubectl("-n", SYSTEM, "set", "env", "deployment/tidegate", "TIDEGATE_GATEWAY_OVERLAP-")
    settled()


async def moved(site: Site, tenant: str, to: str) -> bool:
    status = (await site.get("Tenant", tenant) or {}).get("status", {})
    return status.get("gateway") == to and not status.get("moving")


async def test_a_tenant_moves_to_a_gateway_of_its_own_and_back_without_a_failed_request(
    site: Site, short_overlap: None, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_total(40, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=30)
    async with load.on(*gateways):
        await load.measure(2)
        await site.make_tenant(tenant, {"dedicated": {"replicas": 1}})
        (own,) = await site.ready_pods(f"{tenant}-gateway", f"istio={tenant}-gateway", 1)
        probe = Load(host_of(tenant), path_of("ranker"), rate=10)
        async with probe.on(own):
            await until(lambda: probe.outcome.counts["200"] > 5, "the new gateway serving")
        load.start(own)
        await load.measure(3)
        for address in gateways:
            await load.stop(address)
        await until(lambda: moved(site, tenant, tenant), "the move ending")
        await load.measure(3)
        assert not load.outcome.strange, load.outcome.counts
        await until(lambda: gone(site, "Gateway", f"tenant-{tenant}", "shared-gw"), "the old way being gone")

        await site.make_tenant(tenant, "shared")
        back = Load(host_of(tenant), path_of("ranker"), rate=10)
        async with back.on(*gateways):
            await until(lambda: back.outcome.counts["200"] > 10, "the shared gateway serving again")
        for address in gateways:
            load.start(address)
        await load.measure(3)
        await load.stop(own)
        await until(lambda: moved(site, tenant, "shared"), "the move back ending")
        await load.measure(3)
    assert not load.outcome.strange, load.outcome.counts
    await until(lambda: gone(site, "InferenceGateway", tenant), "the tenant's own gateway being gone")


async def gone(site: Site, kind: str, name: str, namespace: str = "") -> bool:
    return await site.get(kind, name, namespace) is None
