"""Pods as local processes: what they are started with, and when they are ready."""

import asyncio
import sys

import pytest

from k8s_manager.standalone.node.environment import CannotRun, command, environment, expand
from k8s_manager.standalone.node.node import Addresses
from k8s_manager.standalone.node.pod import PodRunner
from tests.support.waiting import until


def pod(*env: dict, **spec) -> dict:
    container = {"name": "model", "image": "example.com/m:1", "command": ["serve"], "env": list(env)}
    metadata = {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "a"}, "annotations": {}}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}, "status": {}}


def field(name: str, path: str) -> dict:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def test_the_downward_api_and_references_are_expanded():
    made = pod(
        field("POD_IP", "status.podIP"),
        field("APP", "metadata.labels['app']"),
        {"name": "LISTEN", "value": "$(POD_IP):8080"},
        {"name": "PRICE", "value": "$$(POD_IP) $(UNKNOWN)"},
    )
    variables = environment(made, made["spec"]["containers"][0], "127.70.0.2")
    assert (variables["LISTEN"], variables["APP"]) == ("127.70.0.2:8080", "a")
    assert variables["PRICE"] == "$(POD_IP) $(UNKNOWN)"
    assert expand("--listen=$(LISTEN)", variables) == "--listen=127.70.0.2:8080"


def test_what_a_process_cannot_have_is_named():
    with pytest.raises(CannotRun, match="never uses the image"):
        command({"name": "model", "image": "example.com/m:1"}, {})
    secret = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    made = pod(secret)
    with pytest.raises(CannotRun, match="KEY comes from secretKeyRef"):
        environment(made, made["spec"]["containers"][0], "127.70.0.2")


def test_two_nodes_never_share_an_address():
    first, second = Addresses(None), Addresses(None)
    assert first.block != second.block
    one, other = {"metadata": {"uid": "1"}}, {"metadata": {"uid": "2"}}
    assert len({first.of(one), first.of(other), second.of(one)}) == 3
    kept = {"metadata": {"uid": "3"}, "status": {"podIP": f"127.{first.block}.9.9"}}
    assert first.of(kept) == f"127.{first.block}.9.9"


class Recorder:
    """Stands where the API is, and remembers the statuses that are written."""

    def __init__(self) -> None:
        self.statuses: list[dict] = []

    async def call(self, method: str, kind: str, namespace: str, name: str, body: dict, **_: str) -> dict:
        self.statuses.append(body["status"])
        return body

    def is_ready(self) -> bool:
        conditions = self.statuses[-1]["conditions"] if self.statuses else []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def serving(**spec) -> dict:
    made = pod(**spec)
    script = (
        "import signal, sys, time; signal.signal(15, lambda *_: (print('asked to stop'), sys.exit(0))); time.sleep(60)"
    )
    made["spec"]["containers"][0]["command"] = [sys.executable, "-u", "-c", script]
    return made


async def test_a_readiness_gate_holds_a_pod_until_it_is_set(tmp_path):
    made, api = serving(readinessGates=[{"conditionType": "example.dev/open"}]), Recorder()
    running = PodRunner(api, made, "127.70.0.2", tmp_path)
    task = asyncio.create_task(running.run())
    try:
        await until(lambda: api.statuses and api.statuses[-1]["containerStatuses"][0]["ready"])
        assert not api.is_ready()
        running.look({**made, "status": {"conditions": [{"type": "example.dev/open", "status": "True"}]}})
        await until(api.is_ready)
    finally:
        await running.end()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_process_is_asked_to_stop_and_its_words_are_kept(tmp_path):
    api = Recorder()
    running = PodRunner(api, serving(), "127.70.0.2", tmp_path)
    task = asyncio.create_task(running.run())
    await until(api.is_ready)
    await asyncio.sleep(0.3)
    running.pod["metadata"]["deletionGracePeriodSeconds"] = 5
    await running.end()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "asked to stop" in (tmp_path / "model.log").read_text()


async def test_a_startup_probe_that_never_succeeds_restarts_the_container(tmp_path):
    made, api = serving(), Recorder()
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 0.05, "failureThreshold": 2}
    made["spec"]["containers"][0]["startupProbe"] = probe
    running = PodRunner(api, made, "127.70.0.2", tmp_path)
    task = asyncio.create_task(running.run())
    await until(lambda: api.statuses and api.statuses[-1]["containerStatuses"][0]["restartCount"] >= 1)
    assert not api.is_ready()
    await running.end()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
