"""The first request to each replica, from what the gateway pods count by endpoint."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

from collectors.endpoints import parse
from istio_templates.facts import GatewayPool
from k8s_manager.dataplane.first_request import FirstRequestLoop
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.settings import Settings
from tests.support.serving import serving
from tests.support.standalone import free_port

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LINE = 'envoy_cluster_endpoint_rq_total{{envoy_cluster_name="outbound|8080|v1|r.s.svc",envoy_endpoint_address="{}:8080"}} {}'


class Clock(SystemClock):
    def __init__(self):
        self.moment = START

    def now(self):
        return (self.moment - START).total_seconds()

    def utc(self):
        return self.moment


def pod(name, address, ready):
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": ready.strftime("%Y-%m-%dT%H:%M:%SZ")}
    labels = {"istio": "shared"} if name == "gw" else {}
    metadata = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1", "labels": labels}
    return {"kind": "Pod", "metadata": metadata, "status": {"podIP": address, "conditions": [condition]}}


@pytest.fixture
async def watched():
    """Yield the loop with one gateway pod, its clock, its store, what that pod counts, and one look."""
    clock, port, counts = Clock(), free_port(), {}
    store = Store(("Pod",), clock)
    store.put(pod("gw", "127.0.0.10", START - timedelta(days=1)))
    pools = {"shared": GatewayPool("shared", "ns", (("istio", "shared"),), (), endpoint_stats=True)}
    firsts = FirstRequestLoop(store, SimpleNamespace(pools=pools), clock, Settings(stats_port=port))

    async def answer(request):
        assert request.query["filter"] == "endpoint.*rq_total"
        return web.Response(text="\n".join(LINE.format(*one) for one in counts.items()) + "\n")

    async with serving("/stats/prometheus", answer, port, "127.0.0.10"), aiohttp.ClientSession() as session:

        async def look(seconds):
            clock.moment += timedelta(seconds=seconds)
            await firsts.once(session)

        yield SimpleNamespace(firsts=firsts, store=store, counts=counts, look=look, pools=pools)


async def test_a_replicas_first_request_is_dated_when_it_is_seen_and_keeps_its_date(watched):
    await watched.look(0)
    watched.store.put(pod("new", "10.0.0.1", START + timedelta(seconds=3)))
    watched.counts["10.0.0.1"] = 0
    await watched.look(5)
    assert watched.firsts.of("new") is None
    watched.counts["10.0.0.1"] = 1
    await watched.look(5)
    await watched.look(5)
    assert watched.firsts.of("new") == START + timedelta(seconds=10)


async def test_replicas_that_were_ready_before_the_gateway_counted_have_no_date(watched):
    watched.store.put(pod("old", "10.0.0.1", START - timedelta(days=3)))
    await watched.look(0)
    watched.counts["10.0.0.1"] = 7
    await watched.look(5)
    await watched.look(5)
    assert watched.firsts.of("old") is None


async def test_an_address_that_another_had_is_nobodys_request_before_the_pod_is_ready(watched):
    await watched.look(0)
    watched.counts["10.0.0.1"] = 7
    cold = pod("cold", "10.0.0.1", START)
    cold["status"]["conditions"][0]["status"] = "False"
    watched.store.put(cold)
    await watched.look(5)
    assert watched.firsts.of("cold") is None


async def test_what_has_gone_is_forgotten_and_a_gateway_that_no_longer_counts_is_not_read(watched):
    await watched.look(0)
    watched.store.put(pod("new", "10.0.0.1", START + timedelta(seconds=3)))
    watched.counts["10.0.0.1"] = 1
    await watched.look(5)
    watched.pools.clear()
    await watched.look(5)
    assert watched.firsts.of("new") == START + timedelta(seconds=5)


def test_counts_are_summed_over_clusters_and_ports_of_an_address():
    lines = [LINE.format("10.0.0.1", 2), LINE.format("10.0.0.1", 3), LINE.format("[fd00::1]", 4), "envoy_other 5"]
    assert parse("\n".join(lines)) == {"10.0.0.1": 5, "fd00::1": 4}
