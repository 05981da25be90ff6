"""Plans against real model servers: MLServer with a scikit-learn model, and Triton (make test-servers)."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.servers.environments import HERE, environment, variables
from tests.support.standalone import free_port
from tests.warmup.plans import bundle
from tests.warmup.test_engine import warmed
from warmup.engine import WarmupOutcome

FAST = {"window": 10, "latency": {"max": "2s"}}


@contextlib.contextmanager
def process(words: list[str], folder: Path, name: str):
    """Run a server until the block ends."""
    with (folder / f"{name}.log").open("wb") as log:
        running = subprocess.Popen(
            words, cwd=folder, env=variables(Path(words[0]).parent.parent), stdout=log, stderr=log, start_new_session=True
        )  # fmt: skip
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGTERM)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait(10)


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory):
    folder, venv = tmp_path_factory.mktemp("mlserver"), environment("mlserver")
    ports = [free_port() for _ in range(3)]
    subprocess.run([venv / "bin" / "python", HERE / "train_iris.py", folder, *map(str, ports)], check=True)
    with process([str(venv / "bin" / "mlserver"), "start", str(folder)], folder, "mlserver"):
        yield ports[0], ports[1]


@pytest.fixture(scope="module")
def triton(tmp_path_factory):
    folder, venv = tmp_path_factory.mktemp("triton"), environment("triton")
    ports = [free_port() for _ in range(3)]
    words = [str(venv / "bin" / "python"), str(HERE / "pytriton_server.py"), *map(str, ports)]
    with process(words, folder, "triton"):
        yield ports[0], ports[1]


def plan(protocol: str, output: str, inputs, **parts):
    return bundle(
        target={"protocol": protocol, "port": 1},
        cases=[{"name": "typical", "batchSizes": [1, 8], "inputs": {"x": inputs}}],
        success={**FAST, "check": {"outputs": [output]}},
        timeout="120s",
        **parts,
    )


def good(outcome: WarmupOutcome) -> None:
    assert (outcome.result, outcome.said) == ("Verified", "2 cases passed")
    assert [row.failures for row in outcome.rows] == [0, 0]


SHAPED = {"dtype": "FP64", "shape": [-1, 4], "generator": {"random": {"high": 7}}}


@pytest.mark.parametrize("inputs", [SHAPED, {}])
async def test_mlserver_becomes_warm_over_rest(mlserver, inputs):
    good(await warmed(plan("oip-rest", "predict", inputs), mlserver[0]))


@pytest.mark.parametrize("inputs", [SHAPED, {}])
async def test_mlserver_becomes_warm_over_grpc(mlserver, inputs):
    good(await warmed(plan("oip-grpc", "predict", inputs), mlserver[1]))


@pytest.mark.parametrize("inputs", [{**SHAPED, "dtype": "FP32"}, {}])
async def test_triton_becomes_warm_over_rest(triton, inputs):
    good(await warmed(plan("oip-rest", "score", inputs), triton[0]))


@pytest.mark.parametrize("inputs", [{**SHAPED, "dtype": "FP32"}, {}])
async def test_triton_becomes_warm_over_grpc(triton, inputs):
    good(await warmed(plan("oip-grpc", "score", inputs), triton[1]))


async def test_a_wrong_shape_is_a_wrong_plan_to_triton(triton):
    wrong = {"dtype": "FP32", "shape": [-1, 5]}
    for protocol, port in (("oip-rest", triton[0]), ("oip-grpc", triton[1])):
        outcome = await warmed(plan(protocol, "score", wrong), port)
        assert outcome.result == "PlanWrong"
        assert outcome.requests <= 2


async def test_a_missing_output_is_named(triton):
    outcome = await warmed(plan("oip-rest", "rank", {}, load={"minRequests": 5, "maxRequests": 20}), triton[0])
    assert outcome.result == "NotFastEnough"
    assert "output rank is missing; there are score" in outcome.said
