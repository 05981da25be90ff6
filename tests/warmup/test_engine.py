import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from k8s_manager.runtime.clock import SystemClock
from tests.support.grpc_server import service
from tests.support.model_server import Cold, grpc_server, model_server
from tests.warmup.plans import bundle
from warmup.clients import connect
from warmup.engine import warm
from warmup.protos import message


async def warmed(found, port, told=None):
    target = found.spec.target.model_copy(update={"port": port})
    client = connect(target, "127.0.0.1", found.hash, found.spec.load.concurrency)
    try:
        return await warm(found, client, SystemClock(), (told if told is not None else []).append)
    finally:
        await client.close()


HTTP = {
    "oip-rest": {},
    "tfs-rest": {"target": {"protocol": "tfs-rest", "port": 1}},
    "openai": {
        "target": {"protocol": "openai", "port": 1},
        "cases": [{"name": "chat", "body": {"messages": [{"role": "user", "content": "hello"}]}}],
    },
    "http": {
        "target": {"protocol": "http", "port": 1, "path": "/predict", "readyPath": "/health"},
        "cases": [{"name": "one", "body": {"text": "hello"}}],
    },
}


@pytest.mark.parametrize("protocol", HTTP)
async def test_a_server_that_is_slow_at_first_is_warm_once_every_shape_was_fast(protocol):
    cold = Cold(slow_calls=3, ready_after=2)
    async with model_server(cold) as port:
        outcome = await warmed(found := bundle(**HTTP[protocol]), port)
    assert (outcome.result, outcome.said) == ("Verified", f"{len(outcome.rows)} cases passed")
    assert all(row.calls >= 8 for row in outcome.rows if row.batch == 1)
    assert all(row.first > 0.2 > row.latency for row in outcome.rows if row.batch == 1)
    assert set(cold.headers) == {found.hash}


async def test_shapes_come_from_the_server_where_the_plan_has_none():
    cold = Cold()
    async with model_server(cold) as port:
        for protocol in ("oip-rest", "tfs-rest"):
            found = bundle(
                target={"protocol": protocol, "port": 1}, cases=[{"name": "a", "batchSizes": [3], "inputs": {"x": {}}}]
            )
            assert (await warmed(found, port)).result == "Verified"
    assert cold.seen["[[3, 4]]"] >= 5


@pytest.mark.parametrize(
    ("cold", "result", "said"),
    [
        (Cold(status=400, body=b"shape mismatch"), "PlanWrong", "400: shape mismatch; correct the plan"),
        (Cold(status=404, body=b"no model"), "NotFastEnough", "404: no model"),
        (Cold(status=429, body=b"busy"), "NotFastEnough", "429: busy"),
        (Cold(status=503, body=b"loading"), "NotFastEnough", "503: loading"),
        (Cold(body=b'{"outputs": [{"name": "score", "data": [NaN]}]}'), "NotFastEnough", "NaN or infinite"),
        (Cold(body=b"<html>"), "NotFastEnough", "the answer is no JSON"),
        (Cold(body=b'{"outputs": [{"name": "other", "data": [1]}]}'), "NotFastEnough", "output score is missing; there are other"),
        (Cold(slow_calls=10**6), "NotFastEnough", "above 200ms"),
        (Cold(hang=True), "TimedOut", "after 3s: case typical, batch 1 had not passed"),
        (Cold(ready_after=10**6), "TimedOut", "after 3s: the server was not ready"),
    ],
)  # fmt: skip
async def test_whatever_a_server_does_ends_in_a_stated_reason_within_the_stated_time(cold, result, said):
    success = {"window": 5, "latency": {"max": "200ms"}, "check": {"outputs": ["score"]}}
    load = {"minRequests": 5, "maxRequests": 6, "perRequestTimeout": "5s"}
    timeout = "3s" if result == "TimedOut" else "300s"
    async with model_server(cold) as port:
        outcome = await warmed(bundle(success=success, load=load, timeout=timeout), port)
    assert outcome.result == result
    assert said in outcome.said
    if result == "PlanWrong":
        assert outcome.requests == 1


async def test_nobody_there_is_waited_for():
    told = []
    outcome = await warmed(bundle(timeout="500ms"), 1, told)
    assert outcome.result == "TimedOut"
    assert "the server was not ready (GET /v2/models/ranker/ready: " in outcome.said
    assert {progress.state for progress in told} == {"WaitingForServer"}


async def test_bytes_that_are_no_http_are_waited_out():
    async def garbage(reader, writer):
        writer.write(b"\x00\x01\x02 what is this\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(garbage, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await warmed(bundle(timeout="500ms"), port)
    assert outcome.result == "TimedOut"


async def test_no_more_calls_than_the_plan_allows_are_under_way_at_once():
    cold = Cold(work=0.005)
    async with model_server(cold) as port:
        outcome = await warmed(bundle(load={"concurrency": 4, "minRequests": 40}), port)
    assert outcome.result == "Verified"
    assert cold.most == 4


async def test_requests_go_no_faster_than_the_rate():
    started = time.monotonic()
    async with model_server(Cold()) as port:
        cases = [{"name": "a", "inputs": {"x": {"dtype": "FP32", "shape": [-1, 4]}}}]
        outcome = await warmed(bundle(cases=cases, load={"rate": 20, "minRequests": 11, "concurrency": 4}), port)
    assert outcome.requests >= 11
    assert time.monotonic() - started >= 0.5  # ten gaps of 50 ms cannot pass sooner


async def test_progress_names_the_case_its_calls_and_the_last_latency():
    told = []
    async with model_server(Cold()) as port:
        await warmed(bundle(), port, told)
    last = told[-1].rows
    assert [(row.case, row.batch, row.state) for row in last] == [("typical", 1, "passed"), ("typical", 8, "running")]
    assert last[1].calls >= 5
    assert last[1].last > 0


async def test_waiting_for_a_place_takes_nothing_from_the_plans_time():
    @asynccontextmanager
    async def late():
        await asyncio.sleep(0.6)
        yield

    found = bundle(timeout="500ms", cases=[{"name": "a", "inputs": {"x": {"dtype": "FP32", "shape": [-1, 4]}}}])
    async with model_server(Cold()) as port:
        client = connect(found.spec.target.model_copy(update={"port": port}), "127.0.0.1", found.hash, 1)
        outcome = await warm(found, client, SystemClock(), lambda _: None, late())
        await client.close()
    assert outcome.result == "Verified"


@asynccontextmanager
async def oip_grpc(slow_calls=0, value=0.5):
    calls = 0

    async def ready(request, context):
        return message("inference.ModelReadyResponse")(ready=request.name == "ranker")

    async def describe(request, context):
        answer = message("inference.ModelMetadataResponse")(name="ranker")
        answer.inputs.add(name="x", datatype="FP32", shape=[-1, 4])
        return answer

    async def infer(request, context):
        nonlocal calls
        calls += 1
        assert len(request.raw_input_contents[0]) == 4 * 4 * request.inputs[0].shape[0]
        if calls <= slow_calls:
            await asyncio.sleep(0.3)
        answer = message("inference.ModelInferResponse")(model_name="ranker")
        answer.outputs.add(name="score", datatype="FP32", shape=[1]).contents.fp32_contents.append(value)
        return answer

    handlers = service(
        "inference.GRPCInferenceService",
        ModelReady=("inference.ModelReadyRequest", ready),
        ModelMetadata=("inference.ModelMetadataRequest", describe),
        ModelInfer=("inference.ModelInferRequest", infer),
    )
    async with grpc_server(handlers) as port:
        yield port


async def test_a_grpc_server_of_the_open_inference_protocol_becomes_warm():
    found = bundle(
        target={"protocol": "oip-grpc", "port": 1}, cases=[{"name": "a", "batchSizes": [2], "inputs": {"x": {}}}]
    )
    async with oip_grpc(slow_calls=3) as port:
        outcome = await warmed(found, port)
    assert outcome.result == "Verified"
    assert outcome.rows[0].calls >= 8


async def test_nan_over_grpc_is_a_failure():
    load = {"minRequests": 5, "maxRequests": 5}
    async with oip_grpc(value=float("nan")) as port:
        outcome = await warmed(bundle(target={"protocol": "oip-grpc", "port": 1}, load=load), port)
    assert outcome.result == "NotFastEnough"
    assert "NaN" in outcome.said


async def test_a_tensorflow_server_becomes_warm_over_grpc():
    async def status(request, context):
        answer = message("tensorflow.GetModelStatusResponse")()
        answer.model_version_status.add(version=1, state=30)
        return answer

    async def describe(request, context):
        answer = message("tensorflow.GetModelMetadataResponse")()
        signatures = message("tensorflow.SignatureDefMap")()
        info = signatures.signature_def["serving_default"].inputs["x"]
        info.dtype = 1
        info.tensor_shape.dim.add(size=-1)
        info.tensor_shape.dim.add(size=4)
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    async def predict(request, context):
        assert (request.model_spec.name, request.inputs["x"].dtype) == ("ranker", 1)
        assert len(request.inputs["x"].tensor_content) == 4 * 4 * request.inputs["x"].tensor_shape.dim[0].size
        answer = message("tensorflow.PredictResponse")()
        answer.outputs["score"].dtype = 1
        answer.outputs["score"].float_val.append(0.5)
        return answer

    model = service("tensorflow.serving.ModelService", GetModelStatus=("tensorflow.GetModelStatusRequest", status))
    prediction = service(
        "tensorflow.serving.PredictionService",
        GetModelMetadata=("tensorflow.GetModelMetadataRequest", describe),
        Predict=("tensorflow.PredictRequest", predict),
    )
    found = bundle(
        target={"protocol": "tfs-grpc", "port": 1}, cases=[{"name": "a", "batchSizes": [2], "inputs": {"x": {}}}]
    )
    async with grpc_server(model, prediction) as port:
        outcome = await warmed(found, port)
    assert outcome.result == "Verified"


async def test_plain_grpc_finds_its_messages_by_reflection():
    """The health service is a gRPC service like any other, and its implementation is not ours."""
    found = bundle(
        target={"protocol": "grpc", "port": 1, "method": "grpc.health.v1.Health/Check"},
        cases=[{"name": "a", "body": {"service": ""}}],
        success={"window": 5, "latency": {"max": "1s"}, "check": {"contains": "SERVING"}},
    )
    async with grpc_server(with_health=True) as port:
        outcome = await warmed(found, port)
    assert (outcome.result, outcome.said) == ("Verified", "1 cases passed")


async def test_a_method_that_the_server_does_not_have_fails_fast():
    target = {"protocol": "grpc", "port": 1, "method": "grpc.health.v1.Health/Nothing"}
    async with grpc_server(with_health=True) as port:
        outcome = await warmed(bundle(target=target, cases=[{"name": "a", "body": {}}]), port)
    assert outcome.result == "PlanWrong"
    assert "hold no method grpc.health.v1.Health/Nothing" in outcome.said
