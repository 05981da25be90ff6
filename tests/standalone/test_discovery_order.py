"""A route that comes or goes never names a cluster that an Envoy does not have: new ones are warm before, old ones
leave after."""

import asyncio
from collections import Counter

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from k8s_manager.standalone.translator.snapshot import CLUSTER, ENDPOINT, LISTENER, ROUTE, Snapshot
from tests.support.envoy import running_envoy

PORT, ROUNDS = 8080, 40
ACTIVE = "cluster_manager.active_clusters"


def cluster(name: str) -> dict:
    source = {"eds_config": {"ads": {}, "resource_api_version": "V3"}, "service_name": name}
    return {"name": name, "type": "EDS", "eds_cluster_config": source, "connect_timeout": "5s"}


def endpoint(name: str, port: int) -> dict:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def listener(address: str) -> dict:
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "rds": {"route_config_name": "routes", "config_source": {"ads": {}, "resource_api_version": "V3"}},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    place = {"socket_address": {"address": address, "port_value": PORT}}
    return {"name": "listener", "address": place, "filter_chains": [{"filters": filters}]}


def serving(address: str, port: int, paths: list[str]) -> Snapshot:
    """Return a snapshot with a cluster of its own behind each path."""
    routes = [{"match": {"path": path}, "route": {"cluster": path[1:]}} for path in paths]
    table = {"name": "routes", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}
    return {
        CLUSTER: {path[1:]: cluster(path[1:]) for path in paths},
        ENDPOINT: {path[1:]: endpoint(path[1:], port) for path in paths},
        LISTENER: {"listener": listener(address)},
        ROUTE: {"routes": table},
    }


async def _answer(_: web.Request) -> web.Response:
    return web.Response(text="served")


@pytest.mark.xdist_group("envoy")
async def test_a_route_that_comes_and_goes_is_answered_by_its_pods_or_is_not_there(tmp_path):
    app = web.Application()
    app.router.add_get("/{path}", _answer)
    async with (
        TestServer(app) as backend,
        running_envoy(tmp_path) as envoy,
        aiohttp.ClientSession(trust_env=False) as session,
    ):
        found: Counter[int] = Counter()

        async def ask() -> None:
            while True:
                async with session.get(f"http://{envoy.address}:{PORT}/comes") as answer:
                    found[answer.status] += 1

        await envoy.load(serving(envoy.address, backend.port or 0, ["/stays"]))
        before = await envoy.stats(ACTIVE)
        asking = [asyncio.create_task(ask()) for _ in range(4)]
        for _ in range(ROUNDS):
            for paths in (["/stays", "/comes"], ["/stays"]):
                await envoy.load(serving(envoy.address, backend.port or 0, paths))
        after = await envoy.stats(ACTIVE)
        for task in asking:
            task.cancel()
        ended = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended), ended
    assert found.keys() == {200, 404}, found
    assert after == before, "the cluster that left is still there"
