"""Gateway pods of a real Istio log their requests, and the statistics of their logs are what was asked of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from collectors.access_log.engine import Engine
from collectors.access_log.rows import RowPlace, StatsRow
from e2e.support.load import Load
from e2e.support.site import Site, host_of, kubectl, path_of
from istio_templates.access_log.line_format import FIELDS
from k8s_manager.collector.collector import Collector
from k8s_manager.manager import until as run_until
from k8s_manager.runtime.clock import SystemClock
from tests.collectors.access_log.lines import at_level
from tests.support.waiting import until


def log_of(pod: str) -> list[bytes]:
    """Return what a gateway pod has written."""
    return kubectl("-n", "shared-gw", "logs", pod, "-c", "istio-proxy").encode().splitlines(keepends=True)


async def rows_of(site: Site, tenant: str) -> list[StatsRow]:
    """Return a model's rows, out of the logs of all gateway pods."""
    engine = Engine()
    rows = []
    for pod in await site.all("Pod", "shared-gw", "istio=shared"):
        name = pod["metadata"]["name"]
        rows += [*engine.feed(name, log_of(name)), *engine.end(name)]
    assert engine.counts.dropped == 0, engine.counts
    return [row for row in rows if row.key.place[:4] == ("model", "", tenant, "ranker")]


async def test_the_statistics_of_the_logs_are_what_was_asked(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_total(40, tenant)
    load = Load(host_of(tenant), path_of("ranker") + "?key=secret", rate=40)
    async with load.on(*gateways):
        before = await rows_of(site, tenant)
        asked = sum(row.requests for row in before)
        await load.measure(6)
    counts = load.outcome.counts
    assert counts["429"] > 50 < counts["200"] and not load.outcome.strange, counts

    async def told() -> list[StatsRow] | None:
        rows = await rows_of(site, tenant)
        return rows if sum(row.requests for row in rows) >= sum(counts.values()) else None

    rows = await until(told, "all requests being logged")
    served, limited = (sum(row.count(name) for row in rows) for name in ("ok", "limited"))
    first = len(gateways)  # each pod was asked until it answered, before the counted load began
    assert limited == counts["429"] and 0 <= served - counts["200"] <= 10 * first, (served, limited, counts, asked)
    lines = [line for pod in await site.all("Pod", "shared-gw", "istio=shared") for line in log_of(_name(pod))]
    logged = [line for line in lines if b'"schema":"gw/1"' in line]
    assert not any(b"secret" in line for line in logged), "query strings are not logged"
    assert not any(b".probe" in line for line in logged), "the manager's probes are not logged"
    last = json.loads(logged[-1])
    assert last.keys() == {"schema", "gateway", *FIELDS} and last["pod_namespace"] == "shared-gw"


def _name(pod: dict) -> str:
    return str(pod["metadata"]["name"])


async def test_a_gateway_without_a_log_writes_none(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=1)
    off = {"spec": {"accessLog": {"mode": "off"}}}
    await site.rest.ok("PATCH", "/v1/gateways/shared", off)
    try:

        async def is_gone() -> bool:
            return "tidegate-shared-access-log" not in map(_name, await site.all("EnvoyFilter", "shared-gw"))

        await until(is_gone, "the logger's EnvoyFilter being gone")
        load = Load(host_of(tenant), path_of("ranker"), rate=5)

        async def is_quiet() -> bool:
            before = len(await lines_of(site, tenant))
            async with load.on(*gateways):
                await load.measure(2)
            return len(await lines_of(site, tenant)) == before

        await until(is_quiet, "requests without a line")
    finally:
        await site.rest.ok("PATCH", "/v1/gateways/shared", {"spec": {"accessLog": {"mode": "json"}}})


async def lines_of(site: Site, tenant: str) -> list[bytes]:
    """Return the lines about a tenant's requests."""
    mark = f'"host":"{host_of(tenant)}'.encode()
    lines = [line for pod in await site.all("Pod", "shared-gw", "istio=shared") for line in log_of(_name(pod))]
    return [line for line in lines if mark in line and b'"schema":"gw/1"' in line]


async def test_a_collector_counts_what_was_asked_though_it_is_replaced_and_a_pod_goes(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_total(40, tenant)
    model = RowPlace("model", "", tenant, "ranker")
    load = Load(host_of(tenant), path_of("ranker"), rate=50)
    async with load.on(*gateways):
        async with collecting(site) as first:
            await load.measure(10)
            asked = sum(load.outcome.counts.values())
            await until(lambda: requests(first, model) > 0, "rows of the first collector")
        await load.measure(10)
    counts = load.outcome.counts
    assert not load.outcome.strange and sum(counts.values()) > asked
    async with collecting(site) as second:
        await until(lambda: requests(second, model) >= sum(counts.values()), "all requests being counted")
        rows = [row for row in second.series.rows(at_level("model"), 0, 2**40) if row.key.place == model]
        assert sum(row.count("limited") for row in rows) == counts["429"]
        assert 0 <= sum(row.count("ok") for row in rows) - counts["200"] <= 10 * len(gateways)
        assert second.engine.counts.dropped == 0
        before = requests(second, model)
        kubectl("-n", "shared-gw", "delete", "pod", "-l", "istio=shared", "--wait=false")
        await site.ready_pods("shared-gw", "istio=shared", 2)
        assert requests(second, model) == before, "what a pod has served stays when it goes"


@asynccontextmanager
async def collecting(site: Site) -> AsyncIterator[Collector]:
    """Run a collector."""
    collector, stop = Collector(site.kube, SystemClock()), asyncio.Event()
    running = asyncio.create_task(run_until(stop, *(one.run() for one in collector.watchers), collector.run()))
    try:
        await until(collector.store.synced.is_set, "the collector having read the cluster")
        yield collector
    finally:
        stop.set()
        await running


def requests(collector: Collector, place: RowPlace) -> int:
    """Return how many requests of a place there are in rows."""
    rows = collector.series.rows(at_level(place.level), 0, 2**40)
    return sum(row.requests for row in rows if row.key.place == place)
