"""Usage of warm pods as shares of what they request: from a metrics API and a Prometheus that a test plays."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.facts import Manifest
from k8s_manager.autoscaling.readings.usage_figures import WarmPods, mean_share
from k8s_manager.autoscaling.readings.usage_signals import UsageSignals
from k8s_manager.kube.client import KubeClient
from k8s_manager.statistics.usage import metrics_api
from k8s_manager.statistics.usage.pod_usage import GpuUse, PodUse
from k8s_manager.statistics.usage.prometheus_server import PrometheusServer
from k8s_manager.statistics.usage.prometheus_usage import PrometheusUsage
from k8s_manager.statistics.usage.usage_reader import UsageReader
from k8s_manager.statistics.usage.usage_source import UsageReading
from tests.k8s_manager.autoscaling.readings.scene import CLOCK, NOW, UTC_NOW, target, values, why
from tests.support.serving import serving

CPU, MEMORY = {"name": "cpu", "target": "70%"}, {"name": "memory", "target": "90%", "guard": True}
GPU, GPU_MEMORY = {"name": "gpu", "target": "80%"}, {"name": "gpuMemory", "target": "90%", "guard": True}
RESOURCES = {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "4Gi", "nvidia.com/gpu": "1"}}
ROOT = f"{metrics_api.ROOT}/namespaces/{{namespace}}/pods"


def pod(name: str, resources: dict[str, Any] | None = None, version: str = "v1", **more: Any) -> Manifest:
    """Return a pod that is ready."""
    container = {"name": "model", "resources": RESOURCES if resources is None else resources}
    metadata = {"name": name, "uid": name, "labels": {"model": "ranker", "version": version}}
    return {
        "metadata": {**metadata, **more.get("metadata", {})},
        "spec": {"containers": [container], **more.get("spec", {})},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": more.get("ready", "True")}]},
    }


def measured(name: str, cpu: str = "1", memory: str = "2Gi", moment: str = "2026-11-30T11:59:30Z") -> Manifest:
    containers = [{"name": "model", "usage": {"cpu": cpu, "memory": memory}}]
    return {"metadata": {"name": name}, "timestamp": moment, "containers": containers}


class FakeMetrics:
    """A metrics API that says what the test wants."""

    def __init__(self, *items: Manifest, status: int = 200) -> None:
        self.items, self.status, self.asked = items, status, list[str]()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.match_info["namespace"])
        return web.json_response({"items": [*self.items]}, status=self.status)


@asynccontextmanager
async def reader(metrics: FakeMetrics, pods: Sequence[Manifest]) -> AsyncIterator[UsageSignals]:
    async with serving(ROOT, metrics.answer) as port, aiohttp.ClientSession() as session:
        source = metrics_api.MetricsApi(KubeClient(f"http://127.0.0.1:{port}", session))
        yield UsageSignals(UsageReader(source, CLOCK), lambda _: pods, CLOCK)


async def test_the_mean_over_warm_pods_is_of_cpu_requested_and_of_the_limit_of_memory():
    pods = [pod("a"), pod("b"), pod("c", ready="False"), pod("d", version="v2")]
    pods.append(pod("e", metadata={"deletionTimestamp": "2026-11-30T11:59:00Z"}))
    metrics = FakeMetrics(
        measured("a", "500m", "1Gi"), measured("b", "1500m", "3Gi"), measured("c", "9"), measured("e", "9")
    )
    async with reader(metrics, pods) as signals:
        found = await signals.read([wanted := target(CPU, MEMORY)])
    assert values(found, wanted) == {"cpu": 0.5, "memory": 0.5} and not found.missing
    assert found.values[wanted.key]["cpu"].at == NOW


async def test_a_pod_whose_container_was_not_found_warm_is_not_counted():
    gate = {"readinessGates": [{"conditionType": "tidegate.dev/warm"}]}
    warm = WarmPods([pod("a"), pod("b", spec=gate)])
    assert [one["metadata"]["name"] for one in warm.of((("model", "ranker"),))] == ["a"]


async def test_memory_without_a_limit_is_of_what_is_requested():
    pods = [pod("a", {"requests": {"cpu": "1", "memory": "4Gi"}})]
    async with reader(FakeMetrics(measured("a")), pods) as signals:
        assert values(await signals.read([wanted := target(CPU, MEMORY)]), wanted) == {"cpu": 1.0, "memory": 0.5}


@pytest.mark.parametrize(
    ("resources", "name", "said"),
    [
        ({}, "cpu", "1 of 2 warm pods request no CPU, so that there is no share of it; give resources.requests.cpu"),
        ({"requests": {"cpu": "0"}}, "cpu", "request no CPU"),
        ({"requests": {"cpu": "1"}}, "memory", "give resources.limits.memory"),
        ({"requests": {"cpu": "1"}}, "gpu", "1 of 2 warm pods ask for no GPU"),
    ],
)
async def test_pods_that_request_nothing_say_what_to_give(resources: dict[str, Any], name: str, said: str):
    pods = [pod("a"), pod("b", resources)]
    async with reader(FakeMetrics(measured("a"), measured("b")), pods) as signals:
        assert said in why(await signals.read([wanted := target(CPU, MEMORY, GPU)]), wanted, name)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ([], "CPU of 1 of 2 warm pods is not known: metrics-server measures a pod within a minute of its start"),
        ([measured("b", "many")], "CPU of 1 of 2 warm pods is not known"),
        ([measured("b", "NaN")], "CPU of 1 of 2 warm pods is not known"),
        ([measured("b", "-1")], "CPU of 1 of 2 warm pods is not known"),
        ([measured("b", moment="2026-11-23T12:00:00Z")], "1 of 2 warm pods were measured more than 180 s ago; metrics-s"),
        ([measured("b", moment="2026-11-30T12:05:00Z")], "1 of 2 warm pods were measured"),
        ([measured("b", moment="yesterday")], "1 of 2 warm pods were measured"),
    ],
    ids=["half the metrics", "no quantity", "NaN", "negative", "last week", "to come", "no moment"],
)  # fmt: skip
async def test_half_the_pods_are_no_mean_of_all(second: list[Manifest], said: str):
    async with reader(FakeMetrics(measured("a"), *second), [pod("a"), pod("b")]) as signals:
        assert said in why(await signals.read([wanted := target(CPU)]), wanted, "cpu")


async def test_without_a_warm_pod_there_is_nothing_to_measure():
    async with reader(FakeMetrics(measured("a")), [pod("a", ready="False")]) as signals:
        assert why(await signals.read([wanted := target(CPU)]), wanted, "cpu").startswith("no replica is warm")


@pytest.mark.parametrize(("status", "said"), [(404, "install metrics-server"), (503, "look at metrics-server")])
async def test_no_metrics_are_a_sentence(status: int, said: str):
    async with reader(FakeMetrics(status=status), [pod("a")]) as signals:
        found = await signals.read([wanted := target(CPU, MEMORY, GPU)])
    assert said in why(found, wanted, "cpu") and said in why(found, wanted, "memory")
    assert "DCGM exporter" in why(found, wanted, "gpu")


async def test_each_namespace_is_read_once_and_only_for_signals_of_usage():
    metrics = FakeMetrics(measured("a"))
    many = [target(CPU, MEMORY, version=f"v{number}", namespace=name) for number in range(9) for name in ("one", "two")]
    async with reader(metrics, [pod("a")]) as signals:
        await signals.read([*many, target({"name": "demand"}, namespace="three")])
    assert sorted(metrics.asked) == ["one", "two"]


async def test_gpus_come_from_prometheus():
    card = {"exported_namespace": "search", "exported_pod": "a", "UUID": "g"}
    figures = {"DCGM_FI_DEV_GPU_UTIL": "43", "DCGM_FI_DEV_FB_USED": "1024", "DCGM_FI_DEV_FB_FREE": "3072"}

    async def answer(request: web.Request) -> web.Response:
        series = [{"metric": {"__name__": name, **card}, "value": [0, value]} for name, value in figures.items()]
        result = series if "DCGM" in request.query["query"] else []
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async with serving("/api/v1/query", answer) as port:
        usage = UsageReader(PrometheusUsage(PrometheusServer(f"http://127.0.0.1:{port}")), CLOCK)
        found = await UsageSignals(usage, lambda _: [pod("a")], CLOCK).read([wanted := target(CPU, GPU, GPU_MEMORY)])
        two = await UsageSignals(usage, lambda _: [pod("a"), pod("b")], CLOCK).read([wanted])
    assert values(found, wanted) == {"gpu": 0.43, "gpuMemory": 0.25}
    assert "Prometheus needs two scrapes of a pod" in why(found, wanted, "cpu")
    assert why(two, wanted, "gpu").startswith("GPU of 1 of 2 warm pods is not known: let Prometheus scrape the DCGM")


class Source:
    unmeasured = unseen_gpus = "look at it"


figures = st.none() | st.floats(0, 1e6)
uses = st.builds(
    PodUse,
    figures,
    st.none() | st.integers(0, 2**53),
    st.none() | st.builds(GpuUse, st.none() | st.floats(0, 1), *[st.none() | st.integers(0, 2**53)] * 2),
    st.sampled_from(["", "2026-11-30T12:00:00Z", "2026-11-30T12:00:00", "x"]),
)


@given(st.sampled_from(["cpu", "memory", "gpu", "gpuMemory"]), st.dictionaries(st.sampled_from("abc"), uses))
def test_what_is_read_is_a_share_of_all_pods_or_a_sentence(kind: Any, found: dict[str, PodUse]):
    share = mean_share(kind, [pod("a"), pod("b")], UsageReading(found), Source(), UTC_NOW.timestamp())  # type: ignore[arg-type]
    assert isinstance(share, str) or (share >= 0 and {"a", "b"} <= found.keys())
