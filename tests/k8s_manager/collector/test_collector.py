"""A collector follows gateway pods through the Kubernetes API: pods that come and go, streams that break."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from math import ceil

import aiohttp
import pytest
from aiohttp import web

from collectors.access_log.engine import Engine
from collectors.access_log.rows import RowPlace
from collectors.request_statistics.row_query import RowQuery
from istio_templates.facts import ObjectKey
from k8s_manager.api.authn.authenticators import Authenticators
from k8s_manager.collector import pod_log
from k8s_manager.collector.collector import Collector
from k8s_manager.collector.gateway_logs import GatewayLogs
from k8s_manager.collector.pod_log import PodLog
from k8s_manager.collector.pod_log_source import PodLogSource
from k8s_manager.collector.process import application
from k8s_manager.collector.row_endpoint import RowReaders
from k8s_manager.kube import client as client_module
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Unavailable
from k8s_manager.kube.store import Store
from k8s_manager.manager import until as run_until
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.timestamp import timestamp_at
from tests.collectors.access_log.lines import LIMITED, at_level, line
from tests.support.bounds import hung
from tests.support.documents import gateway, model, tenant
from tests.support.fleet import Fleet
from tests.support.waiting import until

MODEL = RowPlace("model", "", "search", "ranker")


class ScriptedLogs(KubeClient):
    """A client whose logs are what the test writes. A log is read whole each time; where it `breaks`, the stream ends
    with an error after so many pieces."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        super().__init__(server, session)
        self.written: dict[str, list[bytes]] = {}
        self.breaks: dict[str, int] = {}
        self.broken: set[str] = set()
        """Pods whose stream breaks now."""
        self.asked: list[str] = []
        self.oldest: dict[str, float] = {}
        """When the oldest line of a pod's log was written, where it has one."""

    async def log_beginning(self, pod: ObjectKey, container: str) -> float | None:
        return self.oldest.get(pod.name)

    async def log(self, pod: ObjectKey, container: str, since: str) -> AsyncIterator[bytes]:
        assert container == "istio-proxy" and datetime.fromisoformat(since) <= datetime.now(UTC)
        self.asked.append(pod.name)
        given = 0
        while True:
            pieces = self.written.get(pod.name, [])
            for piece in pieces[given:]:
                given += 1
                yield piece
                if self.breaks.get(pod.name) == given:
                    del self.breaks[pod.name]
                    raise Unavailable("the stream broke")
            if pod.name in self.broken:
                self.broken.remove(pod.name)
                raise Unavailable("the stream broke")
            await asyncio.sleep(0.02)


class Site:
    def __init__(self, fleet: Fleet, logs: ScriptedLogs, collector: Collector) -> None:
        self.fleet, self.logs, self.collector = fleet, logs, collector

    def write(self, pod: str, *values: dict, ago: float = 30) -> None:
        """Log requests that ended some seconds ago."""
        moment = datetime.now(UTC).timestamp() - ago
        self.logs.written.setdefault(pod, []).append(b"".join(line(moment, **value) + b"\n" for value in values))

    def since(self) -> int:
        return self.collector.answer(RowQuery("model", 0, 2**40, 60))().since

    def requests(self, place: RowPlace = MODEL) -> int:
        rows = self.collector.series.rows(at_level(place.level), 0, 2**40)
        return sum(row.requests for row in rows if row.key.place == place)


@asynccontextmanager
async def collecting(fleet: Fleet) -> AsyncIterator[Site]:
    async with aiohttp.ClientSession(read_bufsize=2**22) as session:
        logs = ScriptedLogs(fleet.server, session)
        collector, stop = Collector(logs, SystemClock()), asyncio.Event()
        parts = [watcher.run() for watcher in collector.watchers]
        running = asyncio.create_task(run_until(stop, *parts, collector.run()))
        try:
            await until(collector.store.synced.is_set, what="the first list of everything")
            yield Site(fleet, logs, collector)
        finally:
            stop.set()
            await running


@pytest.fixture
async def site(fleet: Fleet) -> AsyncIterator[Site]:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "search"}}
    await fleet.apply(namespace, gateway(accessLog={"mode": "json"}), tenant(), model())
    async with collecting(fleet) as found:
        yield found


async def pod(fleet: Fleet, name: str, namespace: str = "inference-gw", started: float | None = None) -> None:
    """Make a pod; the collector sees the one that has started with its status, since it is labelled last."""
    await fleet.client.create({"kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": {}})
    key = ObjectKey("Pod", namespace, name)
    if started is not None:
        proxy = {"name": "istio-proxy", "restartCount": 0, "state": {"running": {"startedAt": timestamp_at(started)}}}
        await fleet.client.merge(key, {"status": {"containerStatuses": [proxy]}}, "status")
    await fleet.client.merge(key, {"metadata": {"labels": {"istio": "shared"}}})
    await fleet.set_ready(key, True)


async def test_every_gateway_pod_is_followed_and_no_other(site: Site):
    for name in ("gw-0", "gw-1"):
        await pod(site.fleet, name)
        site.write(name, {}, LIMITED)
    await pod(site.fleet, "elsewhere", "search")
    await until(lambda: site.requests() == 4, "both pods being counted")
    assert set(site.logs.asked) == {"gw-0", "gw-1"}
    site.write("gw-0", {}, ago=10)
    await until(lambda: site.requests() == 5, "what is written meanwhile")


async def test_a_gateway_that_does_not_log_is_left_alone(site: Site):
    await site.fleet.apply(gateway(accessLog={"mode": "off"}))
    await pod(site.fleet, "gw-0")
    await until(lambda: list(site.collector.store.all("Pod")), "the pod being seen")
    logs = GatewayLogs(site.collector.store)
    await until(lambda: not logs.pods(), "the document being read")
    await site.fleet.apply(gateway(accessLog={"mode": "json"}))
    site.write("gw-0", {})
    await until(lambda: site.requests() == 1, "the pod being followed")


async def test_a_stream_that_breaks_loses_nothing_and_counts_nothing_twice(site: Site):
    for number in range(6):
        site.write("gw-0", {}, {}, ago=60 - number)
    site.logs.breaks["gw-0"] = 3
    await pod(site.fleet, "gw-0")
    await until(lambda: len(site.logs.asked) >= 2 and site.requests() == 12, "all of the log, read again")
    assert site.requests(RowPlace("platform")) == 12


async def test_a_pod_that_goes_has_its_last_windows_told(site: Site):
    await pod(site.fleet, "gw-0")
    site.write("gw-0", {}, ago=0)
    await until(lambda: site.collector.engine.counts.counted == 1, "the line being read")
    assert site.requests() == 0, "its window is open"
    await site.fleet.client.delete(ObjectKey("Pod", "inference-gw", "gw-0"))
    await until(lambda: site.requests() == 1, "the rest of a pod that has gone")


async def test_what_was_counted_stays_where_the_log_is_gone_when_it_is_opened_again(site: Site):
    """A kubelet answers for the log of a container that it has removed with a sentence."""
    await pod(site.fleet, "gw-0")
    site.write("gw-0", {}, {}, ago=0)
    await until(lambda: site.collector.engine.counts.counted == 2, "the lines being read")
    site.logs.written["gw-0"] = [b"", b"unable to retrieve container logs for containerd://1\n"]
    site.logs.broken.add("gw-0")
    await until(lambda: site.collector.engine.counts.foreign == 1, "the log being opened again")
    await site.fleet.client.delete(ObjectKey("Pod", "inference-gw", "gw-0"))
    await until(lambda: site.requests() == 2, "the rest of a pod that has gone")


async def test_rows_are_whole_since_a_log_that_was_rotated_away(site: Site):
    now = datetime.now(UTC).timestamp()
    await pod(site.fleet, "gw-0", started=now - 600)
    site.logs.oldest["gw-0"] = now - 600 + 5
    site.write("gw-0", {})
    await until(lambda: site.requests() == 1, "a log with its first line")
    assert site.since() < now - 600
    await pod(site.fleet, "gw-1", started=now - 600)
    site.logs.oldest["gw-1"] = now - 100
    site.write("gw-1", {})
    await until(lambda: site.since() == ceil(now - 100), "the lines that are gone being known")


async def test_requests_count_for_the_tenant_whose_namespace_routes_them(site: Site):
    await pod(site.fleet, "gw-0")
    forged = "/apis/networking.istio.io/v1/namespaces/other/virtual-service/ranker"
    site.write("gw-0", {}, {"route_config": forged})
    await until(lambda: site.requests(RowPlace("platform")) == 2, "both being counted")
    assert site.requests() == 1


async def test_an_arm_that_no_document_names_counts_under_the_weights(site: Site):
    versions = [{"name": name, "existing": {"labels": {"app": name}}} for name in ("v1", "v2")]
    matches = [{"name": "testers", "headers": {"x-arm": {"exact": "b"}}, "version": "v2"}]
    traffic = [{"version": "v1", "weight": 100}]
    await site.fleet.apply(model(versions=versions, traffic=traffic, trafficMatches=matches))
    logs = GatewayLogs(site.collector.store)
    await until(lambda: logs.routes().arms == {("search", "ranker"): {"testers"}}, "the document's arms")
    await pod(site.fleet, "gw-0")
    site.write("gw-0", {"route": "search.ranker.0.testers"}, {"route": "search.ranker.0.made-up"}, {})
    await until(lambda: site.requests() == 3, "all being counted")
    rows = list(site.collector.series.rows(at_level("version"), 0, 2**40))
    assert {row.key.place.arm: row.requests for row in rows} == {"testers": 1, "": 2}


async def test_documents_are_read_again_only_where_they_have_changed(site: Site):
    logs = GatewayLogs(site.collector.store)
    before = logs.routes()
    assert logs.routes() is before and before.tenants == {"search": "search"}
    await site.fleet.apply(tenant("ads"))
    await until(lambda: logs.routes().tenants == {"search": "search", "ads": "ads"}, what="the new tenant")


async def test_prometheus_sees_what_came_since_the_start(site: Site):
    await pod(site.fleet, "gw-0")
    site.write("gw-0", {}, ago=300)
    await until(lambda: site.requests() == 1, "what was before the start")
    since = site.collector.totals.since
    site.collector.totals.since = 0  # as if the collector had run for long
    site.write("gw-0", {}, LIMITED, LIMITED, {"status": 500}, ago=20)
    await until(lambda: site.requests() == 5, "what came since")
    assert since > 0
    page = await shown(site)
    found = dict(re.findall(r'^tidegate_requests_total\{.*outcome="(\w+)".*\} (\S+)$', page, re.MULTILINE))
    assert found == {"ok": "1.0", "limited": "2.0", "serverError": "1.0"}
    assert 'tidegate_gateway_requests_total{gateway="shared",outcome="limited"} 2.0' in page
    assert 'tidegate_request_duration_seconds_count{model="ranker",tenant="search"} 2.0' in page
    assert 'tidegate_collector_lines_total{result="counted"} 5.0' in page and "tidegate_collector_pods 1.0" in page


async def shown(site: Site) -> str:
    """Return the page that Prometheus reads."""
    route = next(
        route
        for route in application(site.collector, RowReaders(Authenticators([]), ())).routes
        if route.path == "/metrics"
    )
    return (await route.endpoint()).body.decode()


async def test_a_log_that_cannot_be_read_is_told_and_others_go_on(site: Site, monkeypatch):
    async def refused(*_: object) -> AsyncIterator[bytes]:
        raise Unavailable("log of Pod inference-gw/gw-1: 403")
        yield b""

    kept = site.logs.log
    monkeypatch.setattr(site.logs, "log", lambda pod, *rest: refused() if pod.name == "gw-1" else kept(pod, *rest))
    for name in ("gw-0", "gw-1"):
        await pod(site.fleet, name)
        site.write(name, {})
    await until(lambda: site.requests() == 1 and site.collector.metrics.unread == 1, "one of two being read")


async def test_a_pod_that_is_silent_is_read_and_not_behind(monkeypatch):
    """A stream on which nothing comes ends by itself and is opened again."""
    monkeypatch.setattr(client_module, "LOG_TIMEOUT", aiohttp.ClientTimeout(total=None, sock_read=0.1))
    answers = 0

    async def log(_: web.Request) -> web.StreamResponse:
        nonlocal answers
        answers += 1
        response = web.StreamResponse()
        await response.prepare(_)
        await asyncio.sleep(30)
        return response

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/gw/pods/gw-0/log", log)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        client = KubeClient(f"http://127.0.0.1:{runner.addresses[0][1]}", session)
        monkeypatch.setattr(pod_log, "BACKOFF", Backoff(0.01, 0.02))
        key = ObjectKey("Pod", "gw", "gw-0")
        source = PodLogSource(client, Store(("Pod",), SystemClock()), key)
        followed = PodLog("gw/gw-0", source, 0, Engine(), lambda rows: None, SystemClock())
        running = asyncio.create_task(followed.run())
        await until(lambda: answers > 2, what="the stream being opened again")
        assert followed.problem is None and followed.lag() < hung()
        running.cancel()
    await runner.cleanup()
