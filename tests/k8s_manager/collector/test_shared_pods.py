"""Several collectors share the gateway pods: each pod is read by one of them, also after one has died."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from collectors.access_log.shares import reader_of
from collectors.request_statistics.row_query import RowQuery, fine_since, merged_rows, unpacked_rows
from istio_templates.facts import Manifest
from k8s_manager.collector import membership as membership_module
from k8s_manager.collector.collector import Collector
from k8s_manager.collector.membership import Membership
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.manager import until as run_until
from k8s_manager.runtime.clock import SystemClock
from tests.collectors.access_log.lines import LIMITED
from tests.k8s_manager.collector.test_collector import ScriptedLogs, Site, pod
from tests.support.documents import gateway, model, tenant
from tests.support.fleet import Fleet
from tests.support.waiting import until

PODS = [f"gw-{number}" for number in range(6)]


class Member:
    """A collector that runs, and can die without a word."""

    def __init__(self, fleet: Fleet, logs: ScriptedLogs, name: str) -> None:
        self.membership = Membership(fleet.client, SystemClock(), "inference-gw", name)
        self.collector = Collector(logs, SystemClock(), self.membership)
        self.stop = asyncio.Event()
        self.renewing: asyncio.Task[None] | None = None
        self.running: asyncio.Task[None] | None = None

    def start(self) -> None:
        parts = [watcher.run() for watcher in self.collector.watchers]
        self.renewing = asyncio.create_task(self.membership.run())
        self.running = asyncio.create_task(run_until(self.stop, *parts, self.collector.run()))

    async def die(self) -> None:
        """End as a killed process does: the Lease stays."""
        assert self.renewing and self.running
        self.membership._give_up = _nothing
        self.renewing.cancel()
        await asyncio.gather(self.renewing, return_exceptions=True)
        self.stop.set()
        await self.running

    async def end(self) -> None:
        assert self.renewing and self.running
        self.renewing.cancel()
        await asyncio.gather(self.renewing, return_exceptions=True)
        self.stop.set()
        await self.running

    def follows(self) -> set[str]:
        return {source.rpartition("/")[2] for source in self.collector._followed}


async def _nothing() -> None:
    return None


@asynccontextmanager
async def members(fleet: Fleet, *names: str) -> AsyncIterator[tuple[Site, list[Member]]]:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "search"}}
    await fleet.apply(namespace, gateway(accessLog={"mode": "json"}), tenant(), model())
    async with aiohttp.ClientSession(read_bufsize=2**22) as session, AsyncExitStack() as stack:
        logs = ScriptedLogs(fleet.server, session)
        found = [Member(fleet, logs, name) for name in names]
        for member in found:
            member.start()
            stack.push_async_callback(member.end)
        yield Site(fleet, logs, found[0].collector), found


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership_module, "PAUSE", 0.05)


def demand(*collectors: Collector) -> int:
    """Return what managers hear of all collectors together."""
    query = RowQuery("model", 0, 2**40, 60, fine_since(SystemClock().utc().timestamp()))
    rows = merged_rows(query, [row for one in collectors for row in unpacked_rows(query, one.answer(query)().rows)])
    return sum(row.requests for row in rows)


async def test_each_pod_has_one_reader_and_together_they_count_everything(fleet: Fleet) -> None:
    async with members(fleet, "one", "two") as (site, found):
        for name in PODS:
            site.write(name, {}, LIMITED)
            await pod(fleet, name)
        wanted = {member.membership.identity: _share(member, "one", "two") for member in found}
        await until(lambda: all(m.follows() == wanted[m.membership.identity] for m in found), "the pods being shared")
        await until(lambda: demand(*(member.collector for member in found)) == 2 * len(PODS), "all requests, once")
        assert all(wanted.values()) and set.union(*wanted.values()) == set(PODS)


async def test_who_comes_takes_its_pods_over_and_nothing_counts_twice(fleet: Fleet) -> None:
    async with members(fleet, "one") as (site, (first,)):
        for name in PODS:
            site.write(name, {}, {})
            await pod(fleet, name)
        await until(lambda: demand(first.collector) == 2 * len(PODS), "all requests, by the one that is there")
        second = Member(fleet, site.logs, "two")
        second.start()
        await until(lambda: first.follows() == _share(first, "one", "two"), "the first giving pods up")
        await until(lambda: second.follows() == _share(second, "one", "two"), "the second taking them")
        for name in PODS:
            site.write(name, {}, ago=12)
        await until(lambda: demand(first.collector, second.collector) == 3 * len(PODS), "each request once")
        await second.end()
        await until(lambda: first.follows() == set(PODS), "all pods being the first's again, at once")
        leases, _ = await fleet.client.list(RESOURCES["Lease"], namespace="inference-gw")
        assert [_holder(lease) for lease in leases] == ["one"]


async def test_the_pods_of_one_that_died_are_read_from_where_it_may_have_been(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with members(fleet, "one", "two") as (site, (first, second)):
        for name in PODS:
            site.write(name, {})
            await pod(fleet, name)
        await until(lambda: demand(first.collector, second.collector) == len(PODS), "all requests")
        monkeypatch.setattr(membership_module, "SECONDS", 0.6)
        await second.die()
        for name in PODS:
            site.write(name, {}, ago=11)
        await until(lambda: first.follows() == set(PODS), "all pods being the first's")
        await until(lambda: demand(first.collector) == 2 * len(PODS), "also what the other had counted")
        monkeypatch.setattr(membership_module, "FORGOTTEN", 1)
        await until(lambda: _has_gone(fleet, "two"), "its Lease being deleted")


def _share(member: Member, *names: str) -> set[str]:
    return {name for name in PODS if reader_of(f"inference-gw/{name}", names) == member.membership.identity}


def _holder(lease: Manifest) -> str:
    return str(lease["spec"]["holderIdentity"])


async def _has_gone(fleet: Fleet, name: str) -> bool:
    return await fleet.get("Lease", f"tidegate-collector-{name}", "inference-gw") is None
