"""What pods use, through the REST API and the command line: from metrics.k8s.io or Prometheus, never wrong, rights first."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from k8s_manager.kube.client import KubeClient
from k8s_manager.runtime.settings import Settings
from k8s_manager.standalone.apiserver.registry import METRICS
from k8s_manager.statistics.usage import metrics_api, usage_reader
from tests.features.conftest import make_search
from tests.features.test_access import GRANTS, made
from tests.support.command import run_command
from tests.support.documents import labels, model
from tests.support.fleet import SETTINGS, TOKEN, Fleet, Rest
from tests.support.prometheus import needs_prometheus, running_prometheus
from tests.support.serving import serving
from tests.support.standalone import free_port
from tests.support.waiting import until

MODEL = "/v1/tenants/search/models/ranker/usage"
TENANT = "/v1/tenants/search/usage"
RESOURCES = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"}}


async def replica(fleet: Fleet, name: str, resources: dict[str, Any] | None = None, **more: str) -> None:
    """Make a pod of the model that runs."""
    container = {"name": "model", "image": "x", "resources": RESOURCES if resources is None else resources}
    metadata = {"name": name, "namespace": "search", "labels": {**labels(), **more}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
    await fleet.client.create(pod)
    path = f"{fleet.server}/api/v1/namespaces/search/pods/{name}/status?fieldManager=node"
    headers = {"Content-Type": "application/merge-patch+json"}
    async with fleet.session.patch(path, data=json.dumps({"status": {"phase": "Running"}}), headers=headers) as answer:
        assert answer.status == 200


def measure(folder: Path, pod: str, cpu: str, memory: str) -> None:
    """Write what a node of a standalone writes."""
    place = folder / f"search_{pod}"
    place.mkdir(exist_ok=True)
    containers = [{"name": "model", "usage": {"cpu": cpu, "memory": memory}}]
    content = {"timestamp": "2026-11-29T12:00:00Z", "window": "5s", "containers": containers}
    (place / "usage.json").write_text(json.dumps(content))


@asynccontextmanager
async def api(fleet: Fleet, folder: Path, settings: Settings = SETTINGS, *proofs: Any) -> AsyncIterator[Rest]:
    fleet.api._pods = folder
    async with fleet.manager(settings) as manager, fleet.rest(manager, *proofs) as rest:
        await make_search(fleet)
        await replica(fleet, "one")
        await replica(fleet, "two")
        await until(lambda: _has_pods(rest, 2), "the pods being seen")
        yield rest


async def _has_pods(rest: Rest, count: int) -> bool:
    _, found = await rest.call("GET", "/v1/tenants/search/models/ranker/objects")
    return len(found["pods"]) == count


async def test_usage_stands_beside_what_is_requested(fleet: Fleet, tmp_path: Path) -> None:
    async with api(fleet, tmp_path) as rest:
        measure(tmp_path, "one", "250m", "512Mi")
        measure(tmp_path, "two", "1500000000n", "1Gi")
        status, found = await rest.call("GET", MODEL)
        assert status == 200
        one, two = found["items"]
        assert (one["pod"], one["version"], one["measured"]) == ("one", "v1", "2026-11-29T12:00:00Z")
        assert one["cpu"] == {"used": 0.25, "requested": 0.5, "limit": None}
        assert one["memory"] == {"used": 2**29, "requested": 2**30, "limit": 2**31}
        assert one["gpu"] == {"requested": 1, "utilization": None, "memoryUsed": None, "memoryTotal": None}
        assert two["cpu"]["used"] == 1.5
        (gap,) = found["gaps"]
        assert found["partial"] and "GPU use of 2 of 2 running pods" in gap and "--prometheus URL" in gap
        status, found = await rest.call("GET", TENANT)
        (item,) = found["items"]
        assert (status, item["model"], item["pods"], item["measured"]) == (200, "ranker", 2, 2)
        assert item["cpu"] == {"used": 1.75, "requested": 1.0, "limit": None}
        assert item["memory"] == {"used": 3 * 2**29, "requested": 2**31, "limit": 2**32}


async def test_a_pod_that_has_not_been_measured_is_a_gap_and_one_that_does_not_run_is_none(
    fleet: Fleet, tmp_path: Path
) -> None:
    async with api(fleet, tmp_path) as rest:
        await fleet.pod("search", labels())
        await until(lambda: _has_pods(rest, 3), "the pod that waits")
        measure(tmp_path, "one", "250m", "nonsense")
        _, found = await rest.call("GET", MODEL)
        assert len(found["items"]) == 3
        assert found["gaps"][0].startswith("CPU or memory of 2 of 2 running pods is not known: metrics-server measures")
        assert [item["memory"]["used"] for item in found["items"]] == [None] * 3


async def test_a_cluster_without_metrics_has_requests_and_says_what_to_install(fleet: Fleet, tmp_path: Path) -> None:
    del fleet.api._registrar.kinds[METRICS, "pods"]
    async with api(fleet, tmp_path) as rest:
        for path in (MODEL, TENANT):
            status, found = await rest.call("GET", path)
            assert status == 200 and found["partial"]
            assert "has no metrics.k8s.io; install metrics-server" in found["gaps"][0]
            assert found["items"][0]["cpu"]["requested"] and found["items"][0]["cpu"]["used"] is None


async def test_several_who_ask_at_once_ask_the_server_once(fleet: Fleet, tmp_path: Path) -> None:
    async with api(fleet, tmp_path) as rest:
        await asyncio.gather(*(rest.call("GET", path) for path in (MODEL, TENANT) * 5))
        assert fleet.api.counts["GET", "podmetrics", 200] == 1


async def test_of_what_is_kept_there_are_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_reader, "MOST_NAMESPACES", 3)

    class Counted:
        unmeasured = unseen_gpus = ""
        asked: list[str] = []

        async def read(self, namespace: str) -> usage_reader.UsageReading:
            self.asked.append(namespace)
            return usage_reader.UsageReading({})

    class Still:
        def now(self) -> float:
            return 7.0

    reader = usage_reader.UsageReader(Counted(), Still())  # type: ignore[arg-type]
    for number in [0, 1, 2, 3, 3, 2, 1, 0]:
        await reader.of_model(f"n{number}", [])
    assert Counted.asked == ["n0", "n1", "n2", "n3", "n0"] and len(reader._kept) == 3


async def test_a_server_that_is_away_is_not_waited_for_again_for_each_namespace() -> None:
    class Away:
        unmeasured = unseen_gpus = ""
        asked: list[str] = []

        async def read(self, namespace: str) -> usage_reader.UsageReading:
            self.asked.append(namespace)
            return usage_reader.UsageReading({}, ("it is away; start it",), answers_figures=False, is_away=True)

    class Passing:
        moment = 0.0

        def now(self) -> float:
            return self.moment

    clock = Passing()
    reader = usage_reader.UsageReader(Away(), clock)  # type: ignore[arg-type]
    for moment, namespace in ((0.0, "a"), (1.0, "b"), (4.9, "c"), (5.0, "d")):
        clock.moment = moment
        assert (await reader.of_model(namespace, []))["gaps"] == ["it is away; start it"]
    assert Away.asked == ["a", "d"]


BAD = {
    "no JSON": (200, "<html>proxy</html>", "no list of pods"),
    "no list": (200, '{"items": {"a": 1}}', "no list of pods"),
    "null": (200, "null", "no list of pods"),
    "down": (503, '{"message": "the server is currently unable to handle the request"}', "currently unable"),
    "forbidden": (403, '{"message": "pods is forbidden"}', "grant the right"),
    "too long": (200, json.dumps({"items": ["x" * 4000]}), "more than 2000 bytes"),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_answer_of_the_metrics_server_is_a_gap(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_api, "MOST_BYTES", 2000)
    status, text, said = BAD[kind]

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, content_type="application/json")

    async with (
        serving(f"{metrics_api.ROOT}/namespaces/search/pods", answer) as port,
        aiohttp.ClientSession() as session,
    ):
        reading = await metrics_api.MetricsApi(KubeClient(f"http://127.0.0.1:{port}", session)).read("search")
    (gap,) = reading.gaps
    assert gap.startswith("CPU and memory are not known: ") and said in gap and not reading.pods


async def test_a_metrics_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_api, "PATIENCE", 0.05)
    over = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async with (
        serving(f"{metrics_api.ROOT}/namespaces/search/pods", answer) as port,
        aiohttp.ClientSession() as session,
    ):
        reading = await metrics_api.MetricsApi(KubeClient(f"http://127.0.0.1:{port}", session)).read("search")
        over.set()
    assert "did not answer within 0.05 s" in reading.gaps[0]


class FakePrometheus:
    """A Prometheus that says what the test wants, by the metric that is asked for, to who has its token."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"cpu": [], "memory": [], "DCGM": []}
        self.status, self.asked, self.token = 200, list[str](), ""

    async def answer(self, request: web.Request) -> web.Response:
        query = request.query["query"]
        self.asked.append(query)
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401, text="no")
        found = next(answer for word, answer in self.answers.items() if word in query)
        if isinstance(found, list):
            found = {"status": "success", "data": {"resultType": "vector", "result": found}}
        return web.json_response(found, status=self.status)


def sample(value: str, **labels_: str) -> dict[str, Any]:
    return {"metric": labels_, "value": [time.time(), value]}


@asynccontextmanager
async def prometheus() -> AsyncIterator[tuple[FakePrometheus, Settings]]:
    fake = FakePrometheus()
    async with serving("/api/v1/query", fake.answer) as port:
        yield fake, replace(SETTINGS, prometheus_url=f"http://127.0.0.1:{port}")


async def test_usage_and_gpus_come_from_prometheus(fleet: Fleet, tmp_path: Path) -> None:
    async with prometheus() as (fake, settings):
        card = {"exported_namespace": "search", "exported_pod": "one", "namespace": "gpu", "pod": "dcgm", "UUID": "g"}
        fake.answers = {
            "cpu": [sample("0.75", pod="one"), sample("NaN", pod="two")],
            "memory": [sample("1073741824", pod="one"), sample("1e400", pod="two")],
            "DCGM": [
                sample("43", __name__="DCGM_FI_DEV_GPU_UTIL", **card),
                sample("1024", __name__="DCGM_FI_DEV_FB_USED", **card),
                sample("3072", __name__="DCGM_FI_DEV_FB_FREE", **card),
            ],
        }
        async with api(fleet, tmp_path, settings) as rest:
            status, found = await rest.call("GET", MODEL)
        one, two = found["items"]
        assert status == 200 and one["cpu"]["used"] == 0.75 and one["memory"]["used"] == 2**30
        assert one["gpu"] == {"requested": 1, "utilization": 0.43, "memoryUsed": 2**30, "memoryTotal": 2**32}
        assert two["cpu"]["used"] is None and two["memory"]["used"] is None
        assert found["gaps"] == [
            "CPU or memory of 1 of 2 running pods is not known: Prometheus needs two scrapes of a pod; where it lasts, "
            "let it scrape the kubelets' /metrics/cadvisor",
            "GPU use of 1 of 2 running pods is not known: let Prometheus scrape the DCGM exporter, with the labels "
            "of pods",
        ]
        assert len(fake.asked) == 3 and all('namespace="search"' in query for query in fake.asked)


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (200, {"status": "success", "data": {"resultType": "matrix", "result": []}}, "no vector"),
        (200, {"status": "success", "data": None}, "no vector"),
        (200, {"status": 7, "data": []}, "none to a query"),
        (422, {"status": "error", "errorType": "execution", "error": "too many samples"}, "too many samples"),
        (503, {"unknown": 1}, "none to a query"),
    ],
)
async def test_a_bad_answer_of_prometheus_is_a_gap(
    fleet: Fleet, tmp_path: Path, status: int, answer: Any, said: str
) -> None:
    async with prometheus() as (fake, settings):
        fake.status, fake.answers = status, dict.fromkeys(fake.answers, answer)
        async with api(fleet, tmp_path, settings) as rest:
            code, found = await rest.call("GET", TENANT)
        (gap,) = found["gaps"]
        assert code == 200 and found["partial"] and said in gap
        assert gap.startswith("CPU and memory and GPU unknown: Prometheus at 127.0.0.1 gave no figures (")


async def test_a_prometheus_that_is_away_or_wants_a_token_is_a_gap_and_its_url_is_not_shown(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_reader, "FRESH", 0.0)
    token = tmp_path / "token"
    async with prometheus() as (fake, settings):
        fake.token = "secret"
        url = str(settings.prometheus_url).replace("http://", "http://me:password@")
        async with api(fleet, tmp_path, replace(settings, prometheus_url=url)) as rest:
            _, found = await rest.call("GET", TENANT)
            assert "refuses the manager (401)" in found["gaps"][0] and "password" not in str(found)
        async with api_again(fleet, replace(settings, prometheus_token_file=token)) as rest:
            _, found = await rest.call("GET", TENANT)
            assert "cannot be read: No such file" in found["gaps"][0]
            token.write_text("secret\n")
            _, found = await rest.call("GET", TENANT)
            assert not any("Prometheus at" in gap for gap in found["gaps"])
    away = replace(SETTINGS, prometheus_url=f"http://127.0.0.1:{free_port()}")
    async with api_again(fleet, away) as rest:
        status, found = await rest.call("GET", TENANT)
        assert status == 200 and "Prometheus at 127.0.0.1 gave no figures (Cannot connect" in found["gaps"][0]


@asynccontextmanager
async def api_again(fleet: Fleet, settings: Settings) -> AsyncIterator[Rest]:
    async with fleet.manager(settings) as manager, fleet.rest(manager) as rest:
        await until(lambda: _has_pods(rest, 2), "the pods being seen")
        yield rest


@needs_prometheus
async def test_a_real_prometheus_understands_the_questions(fleet: Fleet, tmp_path: Path) -> None:
    began, port = time.monotonic(), free_port()

    async def exposed(_: web.Request) -> web.Response:
        seconds = 10 * (time.monotonic() - began)
        lines = [
            f'container_cpu_usage_seconds_total{{namespace="search",pod="one",container="{name}",id="{id_}"}} {seconds}'
            for name, id_ in (("model", "a"), ("model", "b"), ("istio-proxy", "c"), ("", "d"))
        ]
        lines += [
            f'container_memory_working_set_bytes{{namespace="search",pod="one",container="{name}"}} {2**20}'
            for name in ("model", "istio-proxy", "", "POD")
        ]
        for name, value in (("GPU_UTIL", 25), ("FB_USED", 512), ("FB_FREE", 512)):
            lines.append(
                f'DCGM_FI_DEV_{name}{{gpu="0",UUID="g",namespace="search",pod="one",container="model"}} {value}'
            )
        return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")

    jobs = [
        {"job_name": "kubelet", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]},
        {"job_name": "twice", "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "gpu"}}]},
    ]
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}
    (tmp_path / "data").mkdir()
    async with serving("/metrics", exposed, port), running_prometheus(tmp_path / "data", config) as real:
        settings = replace(SETTINGS, prometheus_url=real.url)
        async with api(fleet, tmp_path, settings) as rest:

            async def known() -> Any:
                _, found = await rest.call("GET", MODEL)
                one = found["items"][0]
                return one if one["cpu"]["used"] is not None and one["gpu"]["utilization"] is not None else None

            one = await until(known, "two scrapes")
    assert 15 < one["cpu"]["used"] < 25, "two containers, each once, neither the pod's own cgroup"
    assert one["memory"]["used"] == 2**21
    assert one["gpu"] == {"requested": 1, "utilization": 0.25, "memoryUsed": 2**29, "memoryTotal": 2**30}


async def test_another_tenants_usage_is_not_there_and_nothing_is_asked_for_it(fleet: Fleet, tmp_path: Path) -> None:
    grant = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "viewer"}}
    async with api(fleet, tmp_path, SETTINGS, made(tmp_path, viewer=[])) as rest:
        await fleet.apply({**grant, "spec": {**GRANTS["viewer"], "tenants": ["ads"]}})
        for path in (MODEL, TENANT):
            status, _ = await rest.call("GET", path, headers={"Authorization": "Bearer as-viewer"})
            assert status in (403, 404)
        assert not [count for count in fleet.api.counts if count[1] == "podmetrics"]
        for path in ("/v1/tenants/search/models/none/usage", "/v1/tenants/none/usage"):
            assert (await rest.call("GET", path))[0] == 404


async def test_the_command_shows_models_and_pods_sorted(fleet: Fleet, tmp_path: Path) -> None:
    async with api(fleet, tmp_path) as rest:
        await fleet.apply(model("zero"))
        await replica(fleet, "three", {}, **labels("zero"))
        await until(lambda: _is_known(rest, "zero"), "the second model and its pod")
        measure(tmp_path, "one", "250m", "512Mi")
        measure(tmp_path, "two", "1", "256Mi")
        measure(tmp_path, "three", "2500m", "100Mi")
        environment = {"TIDEGATE_SERVER": str(rest._session._base_url).rstrip("/"), "TIDEGATE_TOKEN": TOKEN}
        code, out, error = await run_command("usage", environment=environment)
        rows = [line.split() for line in out.splitlines()]
        assert code == 0 and "incomplete: GPU use of 2 of 2 running pods is not known" in error
        assert rows == [
            ["MODEL", "PODS", "CPU", "REQUESTED", "MEMORY", "LIMIT", "GPUS", "GPU", "GPU", "MEMORY"],
            ["search/zero", "1/1", "2.5", "-", "100Mi", "-", "-", "-", "-"],
            ["search/ranker", "2/2", "1.25", "1", "768Mi", "4Gi", "2", "-", "-"],
        ]
        code, out, _ = await run_command("usage", "search/ranker", "--sort", "memory", environment=environment)
        assert code == 0 and [line.split()[:3] for line in out.splitlines()] == [
            ["POD", "VERSION", "CPU"],
            ["one", "v1", "0.25"],
            ["two", "v1", "1"],
        ]
        code, out, _ = await run_command("usage", "search", "--sort", "name", "-o", "json", environment=environment)
        found = json.loads(out)
        assert code == 0 and [item["model"] for item in found["items"]] == ["search/ranker", "search/zero"]
        assert found["partial"] and len(found["gaps"]) == 1
        code, out, _ = await run_command("-n", "search", "usage", "ranker", "-o", "json", environment=environment)
        assert code == 0 and {item["pod"] for item in json.loads(out)["items"]} == {"one", "two"}
        code, _, error = await run_command("usage", "search/none", environment=environment)
        assert code == 2 and "none" in error


async def _is_known(rest: Rest, name: str) -> bool:
    status, found = await rest.call("GET", f"/v1/tenants/search/models/{name}/objects")
    return status == 200 and len(found["pods"]) == 1
