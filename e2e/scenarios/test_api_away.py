"""The API server is away for half a minute: nothing that is served changes, and everything goes on afterwards."""

import asyncio

import pytest

from e2e.support.load import Load
from e2e.support.own_node import own_node
from e2e.support.site import Site, host_of, path_of
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
AWAY_SECONDS = 30.0


async def test_the_api_server_may_be_away_for_half_a_minute(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_enforced(40, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=40)
    async with load.on(*gateways):
        await load.measure(1)
        await asyncio.to_thread(own_node().stop_apiserver)
        try:
            since, to = await load.measure(AWAY_SECONDS)
        finally:
            await asyncio.to_thread(own_node().start_apiserver)
        assert load.outcome.is_limited_to(40, since, to, within=0.075)
        await until(lambda: _scaled(site, tenant), "a write being taken again")
        await site.until_enforced(60, tenant)
        await load.measure(2)
        admitted = await load.limited_to(60, 5, within=0.075)
        assert admitted, admitted
    assert not load.outcome.strange, load.outcome.counts


async def _scaled(site: Site, tenant: str) -> bool:
    path = f"/v1/tenants/{tenant}/models/ranker/versions/v1/scale"
    status, _ = await site.rest.call("PUT", path, {"replicas": 3})
    return status == 200
