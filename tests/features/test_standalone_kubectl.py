"""A standalone as a Kubernetes that people use: the real kubectl, a second start, a port in use, a killed manager."""

import asyncio
import json
import os
import signal
import socket
import sys

import pytest
import yaml

from tests.features.test_standalone import HOST, PATH, make_search
from tests.support.kubectl import kubectl, needs_kubectl
from tests.support.standalone import standalone
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("standalone")
OVERRIDE = {
    "apiVersion": "tidegate.dev/v1alpha1",
    "kind": "LimitOverride",
    "metadata": {"name": "night", "namespace": "tidegate-system"},
    "spec": {
        "author": "anna",
        "reason": "a test",
        "expires": "2099-01-01T00:00:00Z",
        "target": {"everything": True},
        "total": 30,
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "extra", "namespace": "search"},
    "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]},
}


@needs_kubectl
async def test_kubectl_reads_applies_follows_and_deletes(tmp_path):
    async with standalone(tmp_path) as run:
        await make_search(run)

        async def asked(*words, stdin="", code=0):
            found, out = await kubectl(tmp_path / "kubeconfig", *words, stdin=stdin)
            assert found == code, out
            return out

        pods = await asked("get", "pods", "-n", "search")
        assert pods.splitlines()[0].split()[:4] == ["NAME", "READY", "STATUS", "RESTARTS"]
        assert pods.count("1/1     Running") == 2
        assert len((await asked("get", "po", "-A", "--no-headers")).splitlines()) == 4
        assert (await asked("get", "models", "-n", "search")).splitlines()[0].split()[:2] == ["NAME", "LIMIT"]

        async def is_limited() -> bool:
            model = yaml.safe_load(await asked("get", "model.tidegate.dev", "ranker", "-n", "search", "-o", "yaml"))
            return model["kind"] == "Model" and model["status"]["limit"]["total"] == 40

        await until(is_limited, "the limit in the status, which follows the limit in force")
        assert (
            json.loads(await asked("get", "deploy", "-n", "search", "-o", "json"))["items"][0]["kind"] == "Deployment"
        )
        assert "deployments" in await asked("api-resources")
        for short in ("vs", "dr"):
            assert await asked("get", short, "-n", "search", "-o", "name")
        assert "not found" in await asked("get", "pod", "none", "-n", "search", code=1)
        first = (await asked("get", "pods", "-n", "search", "-o", "name")).splitlines()[0]
        assert "condition met" in await asked("wait", "-n", "search", "--for=condition=Ready", first)
        assert first.partition("/")[2] in await asked("describe", "-n", "search", first)
        await asked("logs", "-n", "search", first, "--tail=3")

        async def is_measured() -> bool:
            found, out = await kubectl(tmp_path / "kubeconfig", "top", "pods", "-n", "search", "--no-headers")
            return found == 0 and out.count("Mi") == 2

        await until(is_measured, "what both pods use, as kubectl top shows it")
        assert "is not valid for pod" in await asked("logs", "-n", "search", first, "-c", "none", code=1)

        both = yaml.safe_dump_all([OVERRIDE, SERVICE])
        assert (await asked("apply", "-f", "-", stdin=both)).count("created") == 2
        assert (await asked("apply", "-f", "-", stdin=both)).count("unchanged") == 2
        moved = {**SERVICE, "spec": {**SERVICE["spec"], "ports": [{"port": 81}]}}
        assert "configured" in await asked("apply", "-f", "-", stdin=yaml.safe_dump(moved))
        live = json.loads(await asked("get", "svc", "extra", "-n", "search", "-o", "json"))
        assert live["spec"] == moved["spec"]
        wrong = {**OVERRIDE, "spec": {**OVERRIDE["spec"], "totl": 3}}
        assert 'unknown field "spec.totl"' in await asked("apply", "-f", "-", stdin=yaml.safe_dump(wrong), code=1)
        assert (await asked("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(OVERRIDE))).count("applied") == 1
        assert (await asked("delete", "-f", "-", stdin=both)).count("deleted") == 2
        assert "not found" in await asked("get", "svc", "extra", "-n", "search", code=1)


@needs_kubectl
async def test_kubectl_needs_the_token(tmp_path):
    async with standalone(tmp_path):
        config = yaml.safe_load((tmp_path / "kubeconfig").read_text())
        assert config["clusters"][0]["cluster"]["server"].startswith("https://127.0.0.1:")
        config["users"][0]["user"]["token"] = "guessed"
        (tmp_path / "other").write_text(yaml.safe_dump(config))
        code, said = await kubectl(tmp_path / "other", "get", "pods", "-A")
        assert code == 1 and "You must be logged in" in said


async def tidegate(*words: str) -> tuple[int, str]:
    environment = {**os.environ, "COLUMNS": "200"}
    out = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "k8s_manager.cli.main",
        *words,
        stdout=out,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_a_second_one_a_port_in_use_and_doctor_are_a_sentence_each(tmp_path):
    async with standalone(tmp_path):
        code, said = await tidegate("standalone", "--state", str(tmp_path), "--listen", "127.0.0.1:0")
        assert (code, said.count("\n")) == (1, 1) and f"another standalone runs on {tmp_path} (process " in said
        code, said = await tidegate("doctor", "--kubeconfig", str(tmp_path / "kubeconfig"))
        assert (code, said.count("\n")) == (3, 1) and "doctor is for clusters" in said and "logs" in said
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            place = f"127.0.0.1:{taken.getsockname()[1]}"
            for words in (
                ("standalone", "--state", str(tmp_path / "other")),
                ("serve", "--kubeconfig", str(tmp_path / "kubeconfig")),
            ):
                code, said = await tidegate(*words, "--listen", place)
                assert (code, said.count("\n")) == (1, 1) and f"{place} cannot be listened on" in said
                assert "give another address with --listen" in said


async def test_a_killed_manager_leaves_traffic_alone_and_is_started_again(tmp_path):
    async with standalone(tmp_path) as run:
        addresses = await make_search(run)
        before = await _managers(tmp_path)
        os.kill(before, signal.SIGKILL)
        for _ in range(5):
            async with run.session.get(f"http://{addresses[0]}{PATH}", headers={"Host": HOST}) as answer:
                assert answer.status in (200, 429)
        await until(lambda: _other(tmp_path, before), "another manager")
        await until(run.rest.up, "its REST API")
        assert run.process.returncode is None
        await run.enforced(40)


async def _managers(folder) -> int:
    process = await asyncio.create_subprocess_exec(
        "pgrep", "-f", f"k8s_manager.cli.main serve --kubeconfig {folder}/kubeconfig", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return int(out.split()[0]) if out.split() else 0


async def _other(folder, before: int) -> bool:
    return await _managers(folder) not in (0, before)
