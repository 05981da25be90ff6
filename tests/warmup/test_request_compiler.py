import json

import pytest
from pydantic import ValidationError

from istio_templates.documents.parse import problems_of as field_problems
from istio_templates.documents.warmup import FileRef, WarmupPlanSpec
from istio_templates.errors import Invalid
from tests.warmup.plans import bundle, plan
from warmup.plans.bundle import bundle_from
from warmup.plans.request_compiler import compiled, is_open, problems_of
from warmup.plans.tensors import Described

SEEN = FileRef(config_map="traffic", key="seen.jsonl")


def wrong(**parts):
    """Return what is said of a plan that is refused as it is read."""
    with pytest.raises(ValidationError) as found:
        WarmupPlanSpec.model_validate(plan(**parts))
    return " | ".join(map(str, field_problems(found.value, WarmupPlanSpec)))


def test_a_plan_becomes_a_request_for_each_case_and_batch_size():
    made = compiled(bundle())
    assert [(call.case, call.batch, len(call.requests)) for call in made.calls] == [
        ("typical", 1, 1),
        ("typical", 8, 1),
    ]
    (request,) = made.calls[1].requests
    assert request.path == "/v2/models/ranker/infer"
    (tensor,) = json.loads(request.body)["inputs"]
    assert (tensor["shape"], tensor["datatype"], len(tensor["data"])) == ([8, 4], "FP32", 32)


def test_the_same_plan_has_the_same_name_and_another_one_another():
    assert bundle().hash == bundle().hash
    assert bundle().hash != bundle(timeout="11s").hash
    assert bundle_from(bundle().text()) == bundle()


def test_files_are_part_of_a_plans_name():
    cases = [{"name": "seen", "recorded": {"file": {"configMap": "traffic", "key": "seen.jsonl"}}}]
    one, other = bundle({SEEN: b'{"inputs": []}'}, cases=cases), bundle({SEEN: b'{"inputs": [] }'}, cases=cases)
    assert one.hash != other.hash
    assert bundle_from(one.text()) == one


def test_recorded_requests_are_picked_evenly_and_sent_in_turn():
    cases = [{"name": "seen", "recorded": {"file": {"configMap": "traffic", "key": "seen.jsonl"}, "sample": 3}}]
    lines = "\n".join(json.dumps({"inputs": [], "id": str(i)}) for i in range(9)).encode()
    (call,) = compiled(bundle({SEEN: lines}, cases=cases)).calls
    assert [json.loads(request.body)["id"] for request in call.requests] == ["0", "3", "6"]


def test_an_open_shape_is_left_to_the_server_and_the_rest_is_checked():
    found = bundle(cases=[{"name": "a", "inputs": {"x": {}}}, {"name": "b", "inputs": {"x": {"dtype": "INT8", "shape": [1], "generator": {"values": [999]}}}}])  # fmt: skip
    assert is_open(found)
    assert [problem.field for problem in problems_of(found)] == ["cases[1].inputs"]
    with pytest.raises(Invalid, match=r"cases\[0\].inputs: x: shape \[-1, -1\] is open"):
        compiled(found, {"x": Described("FP32", (-1, -1))})


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"target": {"protocol": "soap", "port": 80}}, "target.protocol: 'soap' is not allowed"),
        ({"target": {"protocol": "openai", "port": 80, "signature": "x"}}, "protocol openai takes model, path only"),
        ({"target": {"protocol": "http", "port": 80}}, "needs the path of the requests"),
        ({"target": {"protocol": "grpc", "port": 80, "method": "Check"}}, "needs it as package.Service/Method"),
        ({"target": {"protocol": "tfs-rest", "port": 80, "version": "new"}}, "versions are numbers"),
        ({"target": {"protocol": "tfs-grpc", "port": 80, "version": "9" * 20}}, "at most 18 digits"),
        ({"target": {"protocol": "http", "port": 80, "path": "/", "headers": {"x-bin": "a"}}}, "would be binary in gRPC"),
        ({"cases": [{"name": "a", "inputs": {"x": {"dtype": "FLOAT"}}}]}, "dtype: 'FLOAT' is not allowed"),
        ({"cases": [{"name": "a", "inputs": {"x": {"generator": {"noise": {}}}}}]}, "generator.noise: is unknown; "),
        ({"cases": [{"name": "a", "inputs": {"x": {"generator": {"ones": {}, "zeros": {}}}}}]}, "exactly one of zeros"),
        ({"cases": [{"name": "a", "inputs": {"x": {"shape": [-1, -1]}}}]}, "cannot be resolved"),
        ({"cases": [{"name": "a", "inputs": {"x": {"shape": [0]}}}]}, "cannot be resolved"),
        ({"cases": [{"name": "a", "inputs": {"x": {"generator": {"b64": "!"}}}}]}, "is no base64"),
        ({"cases": [{"name": "a"}]}, "a has no inputs; protocol oip-rest needs them"),
        ({"cases": [{"name": "a", "body": {}}] * 2}, "two have the same name"),
        ({"success": {"window": 5, "maxFailures": 5, "latency": {"max": "1s"}}}, "lets every replica pass"),
        ({"success": {"window": 5, "latency": {"max": "0s"}}}, "no request is answered within 0s"),
        ({"success": {"window": 500, "latency": {"max": "1s"}}}, "it needs 500 requests and maxRequests is 200"),
        ({"success": {"window": 50, "steadyState": {"windows": 5}, "latency": {"max": "1s"}}}, "it needs 250 requests"),
        ({"timeout": "10s", "load": {"minDuration": "9s"}}, "does not fit into the timeout of 10s"),
        ({"timeout": "0s"}, "ends before anything can be asked"),
        ({"onTimeout": "shrug"}, "onTimeout: 'shrug' is not allowed"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_refused_with_the_field_and_what_would_be_right(parts, said):
    assert said in wrong(**parts)


@pytest.mark.parametrize(
    ("files", "parts", "said"),
    [
        ({}, {"cases": [{"name": "a", "recorded": {"file": {"configMap": "traffic", "key": "seen.jsonl"}}}]}, "file traffic/seen.jsonl is missing"),
        ({SEEN: b"\n"}, {"cases": [{"name": "a", "recorded": {"file": {"configMap": "traffic", "key": "seen.jsonl"}}}]}, "holds no recorded request"),
        ({SEEN: b"[1]"}, {"cases": [{"name": "a", "recorded": {"file": {"configMap": "traffic", "key": "seen.jsonl"}}}]}, "is no JSON object"),
        ({}, {"target": {"protocol": "openai", "port": 80}, "cases": [{"name": "a", "text": "hello"}]}, "give a completion request"),
        ({}, {"cases": [{"name": "a", "inputs": {"x": {"dtype": "FP64", "shape": [2_000_000], "generator": {"random": {"high": 1e9}}}}}]}, "at most 16777216 are sent"),
        ({FileRef(config_map="d", key="set"): b"\xff\xff"}, {"target": {"protocol": "grpc", "port": 80, "method": "a.B/C", "descriptors": {"configMap": "d", "key": "set"}}, "cases": [{"name": "a", "body": {}}]}, "no FileDescriptorSet"),
        ({}, {"cases": [{"name": "a", "batchSizes": [1, 100], "inputs": {"x": {"dtype": "FP32", "shape": [-1, 100, 200]}, "y": {"dtype": "FP32", "shape": [-1, 1]}}}]}, "have 2020101 elements in all their batches; at most 2000000"),
        ({SEEN: b"[" * 100_001}, {"cases": [{"name": "a", "inputs": {"x": {"dtype": "FP32", "shape": [1], "generator": {"file": {"configMap": "traffic", "key": "seen.jsonl"}}}}}]}, "whole number of elements"),
        ({FileRef(config_map="traffic", key="x.json"): b"[" * 100_000}, {"cases": [{"name": "a", "inputs": {"x": {"dtype": "FP32", "shape": [1], "generator": {"file": {"configMap": "traffic", "key": "x.json"}}}}}]}, "its values do not fit FP32"),
    ],
)  # fmt: skip
def test_what_belongs_to_a_plan_is_checked_with_it(files, parts, said):
    assert said in " | ".join(map(str, problems_of(bundle(files, **parts))))
