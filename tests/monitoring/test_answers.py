"""A real Prometheus, configured as shipped, scrapes a standalone: every panel and every recording rule has an answer."""

import re
from pathlib import Path

import pytest

from tests.monitoring.exporters import GPU_MEBIBYTES, GPU_PERCENT, MEMORY
from tests.monitoring.files import RECORDS, panel_queries
from tests.monitoring.standalone_targets import targets_of
from tests.monitoring.targets import config
from tests.support.prometheus import RunningPrometheus, needs_prometheus, running_prometheus
from tests.support.standalone import GATEWAY, HOST, PATH, QUICK, Running, offer, ranker, standalone
from tests.support.waiting import until

pytestmark = [needs_prometheus, pytest.mark.xdist_group("standalone")]
CHOICES = {"$__rate_interval": "5m", "$gateway": "shared", "$tenant": "search", "$model": "ranker"}
MODELS = "/v1/tenants/search/models"
MATCHES = [{"name": "programs", "headers": {"user-agent": {"prefix": "Python"}}, "version": "v1"}]
"""What this test asks with, so that an arm has requests."""
SHADOW_PATH = "/v2/models/tagger"
REPLICAS = 2


def asked() -> dict[str, str]:
    """Return what is to have an answer, with every variable replaced."""
    found = {rule["record"]: rule["record"] for rule in RECORDS}
    for name, expression in panel_queries():
        found[name] = re.sub(r"\$\w+", lambda variable: CHOICES[variable[0]], expression)
    return found


async def make_search(run: Running) -> list[str]:
    """Make a gateway, a model that is limited and one in shadow; return the addresses of the gateway's pods."""
    await run.put("/v1/gateways/shared", GATEWAY)
    await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}]}})
    limit = {"perReplicaQps": 20, "debounce": QUICK}
    scale = {"min": REPLICAS, "max": REPLICAS}
    await run.put(f"{MODELS}/ranker", ranker(autoscale=scale, rateLimit=limit, trafficMatches=MATCHES))
    route = {"host": HOST, "path": SHADOW_PATH, "port": 8080, "timeout": "10s"}
    await run.put(f"{MODELS}/tagger", ranker(1, routes=[route], rateLimit={**limit, "mode": "shadow"}))
    addresses = await run.gateways()
    await run.enforced(20 * REPLICAS)
    await until(lambda: run.serves(addresses), "a 200 from each gateway pod")
    return addresses


async def all_answered(prometheus: RunningPrometheus, run: Running, addresses: list[str], left: dict[str, str]) -> bool:
    """Ask the gateways for models and for nothing that exists; take what has an answer from what is `left`."""
    for path, rate in ((PATH, 80), (SHADOW_PATH, 40), ("/nothing", 10)):
        await offer(addresses, rate, 0.5, path=path)
    for name, expression in list(left.items()):
        if await prometheus.query(expression):
            del left[name]
    return not left


async def test_every_panel_and_every_recording_rule_has_an_answer(tmp_path: Path):
    async with standalone(tmp_path / "state") as run:
        addresses = await make_search(run)
        async with targets_of(run) as targets, running_prometheus(tmp_path, config(targets)) as prometheus:
            await until(lambda: prometheus.query("tidegate_ratelimit_effect_seconds_count"), "the first scrape")
            await run.rest.call("PUT", f"{MODELS}/tagger/versions/v1/scale", {"replicas": 2})
            left = asked()
            try:
                await until(lambda: all_answered(prometheus, run, addresses, left), "an answer to every query")
            except AssertionError:
                pytest.fail(f"no answer to {left}")
            assert [rule["name"] for rule in await prometheus.rules() if rule["health"] != "ok"] == []
            await only_the_right_targets_are_scraped(prometheus)
            await resources_are_those_of_the_models_pods(prometheus)


async def only_the_right_targets_are_scraped(prometheus: RunningPrometheus) -> None:
    found = [(one["labels"], one["health"]) for one in await prometheus.targets()]
    assert {health for _, health in found} == {"up"}
    jobs = sorted(labels["job"] for labels, _ in found)
    assert jobs == sorted(
        ["tidegate-gateway"] * 2
        + ["tidegate-manager", "tidegate-collector"] * 2
        + ["cadvisor", "kube-state-metrics", "dcgm-exporter"]
    )
    gateways = [labels for labels, _ in found if labels["job"] == "tidegate-gateway"]
    assert {(labels["gateway"], labels["namespace"]) for labels in gateways} == {("shared", "inference-gw")}
    assert all(re.match("shared-", labels["pod"]) for labels in gateways)


async def resources_are_those_of_the_models_pods(prometheus: RunningPrometheus) -> None:
    ranker = {"tenant": "search", "model": "ranker"}
    memory = await prometheus.query("model:container_memory_working_set_bytes:sum")
    assert [value for labels, value in memory if ranker.items() <= labels.items()] == [REPLICAS * MEMORY]
    used = await prometheus.query("model:dcgm_gpu_memory_used_bytes:sum")
    assert [value for labels, value in used if ranker.items() <= labels.items()] == [REPLICAS * GPU_MEBIBYTES * 2**20]
    busy = await prometheus.query("model:dcgm_gpu_utilization:avg_ratio")
    assert {value for _, value in busy} == {GPU_PERCENT / 100}
    assert {tuple(sorted(labels)) for labels, _ in memory} == {("__name__", "model", "tenant")}
