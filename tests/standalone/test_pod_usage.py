"""`metrics.k8s.io` of a standalone: what its processes use, as clients of a metrics-server find and read it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from istio_templates.quantity import quantity
from k8s_manager.standalone.apiserver.http import serve
from k8s_manager.standalone.node import usage
from k8s_manager.standalone.node.pod import PodRunner
from k8s_manager.standalone.node.usage import UsageSampler, sessions
from tests.standalone.test_node import Recorder, pod
from tests.support.waiting import until

ROOT = "/apis/metrics.k8s.io/v1beta1"
BUSY = """
import os, time
kept = b"x" * (64 * 2**20)
if os.fork() == 0:
    while True: pass
time.sleep(600)
"""


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """Serve the embedded API with two namespaces and a pod in each."""
    runner, port = await serve("127.0.0.1", 0, folder / "state.db", None)
    try:
        async with aiohttp.ClientSession(trust_env=False) as session:
            server = f"http://127.0.0.1:{port}"
            for name in ("ns", "other"):
                await session.post(f"{server}/api/v1/namespaces", json={"metadata": {"name": name}})
                metadata = {"name": "p", "namespace": name, "labels": {"app": name}}
                made = {"metadata": metadata, "spec": {"containers": [{"name": "model"}]}}
                async with session.post(f"{server}/api/v1/namespaces/{name}/pods", json=made) as answer:
                    assert answer.ok
            yield server, session
    finally:
        await runner.cleanup()


async def asked(session: aiohttp.ClientSession, url: str, method: str = "GET") -> tuple[int, Any]:
    async with session.request(method, url) as answer:
        return answer.status, await answer.json()


def write(folder: Path, namespace: str, **content: object) -> Path:
    file = folder / "pods" / f"{namespace}_p" / "usage.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    containers = [{"name": "model", "usage": {"cpu": "5n", "memory": "7Ki"}}]
    file.write_text(
        json.dumps({"timestamp": "2026-11-29T12:00:00Z", "window": "5s", "containers": containers} | content)
    )
    return file


async def test_what_the_processes_of_a_pod_use_is_measured_those_that_they_start_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "EVERY", 0.3)
    made, folder = pod(), tmp_path / "pods" / "ns_p"
    made["spec"]["containers"][0]["command"] = [sys.executable, "-c", BUSY]
    running = PodRunner(Recorder(), made, "127.70.0.2", folder)  # type: ignore[arg-type]
    sampler = UsageSampler(lambda: [(running.folder, running.processes())])
    tasks = [asyncio.create_task(work) for work in (running.run(), sampler.run())]
    try:
        async with served(tmp_path) as (server, session):

            async def busy() -> Any:
                status, found = await asked(session, f"{server}{ROOT}/namespaces/ns/pods/p")
                (container,) = found["containers"] if status == 200 else [{"usage": {}}]
                figures = {name: quantity(value) or 0 for name, value in container["usage"].items()}
                return found if figures.get("cpu", 0) > 0.05 and figures["memory"] > 64 * 2**20 else None

            found = await until(busy, "a busy child in the usage of its pod")
            assert found["kind"] == "PodMetrics" and found["metadata"]["labels"] == {"app": "ns"}
            assert found["containers"][0]["name"] == "model" and found["window"].endswith("s")
            (process,) = running.processes().values()
            assert sessions()[process].resident > 64 * 2**20
    finally:
        await running.end()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert running.processes() == {}, "what has ended uses nothing"


async def test_metrics_are_found_listed_and_read_and_not_written(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, session):
        _, groups = await asked(session, f"{server}/apis")
        (group,) = (group for group in groups["groups"] if group["name"] == "metrics.k8s.io")
        assert group["preferredVersion"]["groupVersion"] == "metrics.k8s.io/v1beta1"
        _, resources = await asked(session, f"{server}{ROOT}")
        (resource,) = resources["resources"]
        assert (resource["name"], resource["kind"], resource["verbs"]) == ("pods", "PodMetrics", ["get", "list"])
        assert resource["shortNames"] == [], "po stays that of pods"

        for namespace in ("ns", "other"):
            write(tmp_path, namespace)
        _, everywhere = await asked(session, f"{server}{ROOT}/pods")
        assert [item["metadata"]["namespace"] for item in everywhere["items"]] == ["ns", "other"]
        _, one = await asked(session, f"{server}{ROOT}/namespaces/ns/pods")
        assert [item["metadata"]["namespace"] for item in one["items"]] == ["ns"] and one["kind"] == "PodMetricsList"
        _, chosen = await asked(session, f"{server}{ROOT}/pods?labelSelector=app%3Dother")
        assert [item["metadata"]["namespace"] for item in chosen["items"]] == ["other"]
        _, got = await asked(session, f"{server}{ROOT}/namespaces/ns/pods/p")
        assert got["containers"][0]["usage"] == {"cpu": "5n", "memory": "7Ki"}

        assert (await asked(session, f"{server}{ROOT}/namespaces/ns/pods/none"))[0] == 404
        assert (await asked(session, f"{server}{ROOT}/namespaces/ns/pods/p/status"))[0] == 404
        assert (await asked(session, f"{server}{ROOT}/nodes"))[0] == 404
        for method in ("DELETE", "PUT", "PATCH"):
            assert (await asked(session, f"{server}{ROOT}/namespaces/ns/pods/p", method))[0] == 405
        assert (await asked(session, f"{server}{ROOT}/pods?watch=true"))[0] == 405


async def test_what_was_not_measured_is_old_or_cannot_be_read_is_not_there(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, session):
        assert (await asked(session, f"{server}{ROOT}/pods"))[1]["items"] == []
        assert (await asked(session, f"{server}{ROOT}/namespaces/ns/pods/p"))[0] == 404
        old = write(tmp_path, "ns")
        os.utime(old, (0, 0))
        write(tmp_path, "other").write_text('{"timestamp"')
        assert (await asked(session, f"{server}{ROOT}/pods"))[1]["items"] == []


async def test_a_container_has_usage_at_its_second_look_and_none_without_processes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    own = os.getsid(0)
    there = [(tmp_path / "a", {"model": own}), (tmp_path / "b", {"model": own, "gone": 2**30}), (tmp_path / "c", {})]
    sampler = UsageSampler(lambda: there)
    sampler._write(sessions(), 10.0)
    assert not list(tmp_path.glob("*/usage.json"))
    sampler._write(sessions(), 12.5)
    assert [file.parent.name for file in tmp_path.glob("*/usage.json")] == ["a"]
    assert json.loads((tmp_path / "a" / "usage.json").read_text())["window"] == "2.500s"
