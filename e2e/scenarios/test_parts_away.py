"""Parts of the cluster go away under load: nothing that is served changes, and everything goes on afterwards."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from http.client import HTTPConnection

import aiohttp
import pytest

from e2e.cluster.components import ETCD
from e2e.cluster.network import link_of, set_link
from e2e.support.load import Load
from e2e.support.own_node import own_node
from e2e.support.site import SYSTEM, Site, host_of, path_of
from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest, ObjectKey
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
LIMIT, RAISED = 40, 60
Outage = Callable[[list[str]], AbstractContextManager[None]]
"""Begins when entered and ends when left; it is given the addresses of the manager's pods."""


@contextmanager
def api_server(number: int, managers: list[str]) -> Iterator[None]:
    own_node().stop_apiserver(number)
    try:
        yield
    finally:
        own_node().start_apiserver()


@contextmanager
def etcd(managers: list[str]) -> Iterator[None]:
    own_node().stop_etcd()
    try:
        yield
    finally:
        own_node().start_etcd()


@contextmanager
def runtime_and_kubelet(managers: list[str]) -> Iterator[None]:
    own_node().stop_kubelet()
    own_node().stop_runtime()
    try:
        yield
    finally:
        own_node().start_runtime()
        own_node().start_kubelet()


@contextmanager
def space_of_etcd(managers: list[str]) -> Iterator[None]:
    """etcd has more data than it may: its first write raises the alarm, and from then on it only reads."""
    own_node().stop_etcd()
    own_node().start_etcd(quota=1)
    try:
        yield
    finally:
        own_node().stop_etcd()
        own_node().start_etcd()
        own_node().until("etcd takes back its alarm", _without_alarm)


def _without_alarm() -> bool:
    try:
        for alarm in _alarm(action="GET").get("alarms", []):
            _alarm(action="DEACTIVATE", **alarm)
        return not _alarm(action="GET").get("alarms")
    except OSError:
        return False


def _alarm(**request: str) -> Manifest:
    """Ask etcd for its alarms, or to take one back (its API `maintenance/alarm`, as JSON)."""
    call = HTTPConnection(ETCD.removeprefix("http://"), timeout=5)
    try:
        call.request("POST", "/v3/maintenance/alarm", json.dumps(request))
        return json.load(call.getresponse())
    finally:
        call.close()


@contextmanager
def network_of_the_managers(managers: list[str]) -> Iterator[None]:
    name = own_node().place.name
    links = [link_of(name, address) for address in managers]
    for link in links:
        set_link(name, link, "down")
    try:
        yield
    finally:
        for link in links:
            set_link(name, link, "up")


OUTAGES: dict[str, tuple[Outage, float]] = {
    "API server stopped": (partial(api_server, signal.SIGTERM), 30.0),
    "API server killed": (partial(api_server, signal.SIGKILL), 5.0),
    "etcd restarted": (etcd, 5.0),
    "etcd without space": (space_of_etcd, 25.0),
    "container runtime and kubelet restarted": (runtime_and_kubelet, 5.0),
    "managers without network": (network_of_the_managers, 60.0),
}
"""What goes away, and for how many seconds."""


@pytest.mark.parametrize("what", OUTAGES)
async def test_traffic_and_limits_stay_while_a_part_is_away_and_changes_are_made_afterwards(
    site: Site, gateways: list[str], tenant: str, what: str
):
    outage, seconds = OUTAGES[what]
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_enforced(LIMIT, tenant)
    managers = [pod["status"]["podIP"] for pod in await site.all("Pod", SYSTEM, "app.kubernetes.io/name=tidegate")]
    load = Load(host_of(tenant), path_of("ranker"), rate=40)
    async with load.on(*gateways):
        await load.measure(1)
        async with _in_thread(outage(managers)):
            raising = asyncio.create_task(until(lambda: _raised(site, tenant), "a write being taken"))
            since, to = await load.measure(seconds)
        admitted = load.outcome.is_limited_to(LIMIT, since, to, within=0.075)
        assert admitted, admitted
        await raising
        await site.until_enforced(RAISED, tenant)
        await load.measure(2)
        admitted = await load.limited_to(RAISED, 5, within=0.075)
        assert admitted, admitted
    assert not load.outcome.strange, load.outcome.counts


@asynccontextmanager
async def _in_thread(away: AbstractContextManager[None]) -> AsyncIterator[None]:
    """Begin and end an outage beside the load."""
    await asyncio.to_thread(away.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(away.__exit__, None, None, None)


async def _raised(site: Site, tenant: str) -> bool:
    """Ask for another replica as a pipeline does, of the API server: that may be there when the manager is not."""
    key = ObjectKey("Model", tenant, "ranker")
    try:
        versions = (await site.kube.get(key))["spec"]["versions"]
        versions[0]["workload"]["replicas"] = RAISED // 20
        await site.kube.merge(key, {"spec": {"versions": versions}})
    except (TidegateError, aiohttp.ClientError, TimeoutError):
        return False
    return True
