"""Open Inference Protocol over gRPC. Source: KServe's `grpc_predict_v2.proto`.

Tensors travel raw, which every type has: FP16 has no other form. Answers are read in either form.
"""

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError

from istio_templates.documents.warmup import Sanity
from warmup.plans.tensors import Described, Filled
from warmup.protocols import grpc_bodies, json_answers
from warmup.protocols.base import Server
from warmup.protocols.floats import are_finite
from warmup.protos import message
from warmup.wire import Answer, Request, Transport

_SERVICE = "/inference.GRPCInferenceService"
_FLOATS = {"FP16": "e", "FP32": "f", "FP64": "d"}


class OipGrpc:
    """The protocol's gRPC form."""

    transport: Transport = "grpc"

    def ready(self, server: Server) -> Request:
        """Ask whether the model is ready."""
        body = message("inference.ModelReadyRequest")(name=server.model, version=server.target.version or "")
        return Request(f"{_SERVICE}/ModelReady", body.SerializeToString())

    def is_ready(self, server: Server, answer: Answer) -> bool:
        """Tell whether the answer says that the model is ready."""
        try:
            found = message("inference.ModelReadyResponse").FromString(answer.body)
        except DecodeError:
            return False
        return answer.fault is None and bool(found.ready)

    def describe(self, server: Server) -> tuple[Request, ...]:
        """Ask for the model's metadata."""
        body = message("inference.ModelMetadataRequest")(name=server.model, version=server.target.version or "")
        return (Request(f"{_SERVICE}/ModelMetadata", body.SerializeToString()),)

    def described(self, server: Server, body: bytes) -> Mapping[str, Described]:
        """Return the inputs in the metadata."""
        try:
            found = message("inference.ModelMetadataResponse").FromString(body)
        except DecodeError as error:
            raise ValueError(f"the metadata cannot be read ({error})") from error
        return {i.name: Described(i.datatype, tuple(i.shape)) for i in found.inputs}

    def request(self, server: Server, tensors: tuple[Filled, ...]) -> Request:
        """Return an inference request with raw contents."""
        infer = message("inference.ModelInferRequest")
        body = infer(model_name=server.model, model_version=server.target.version or "")
        for tensor in tensors:
            body.inputs.add(name=tensor.name, datatype=tensor.dtype, shape=tensor.shape)
            body.raw_input_contents.append(tensor.raw())
        return Request(f"{_SERVICE}/ModelInfer", body.SerializeToString())

    def replay(self, server: Server, body: bytes) -> Request:
        """Return an inference request from its JSON form; the model's name is filled in."""
        made = grpc_bodies.from_json(message("inference.ModelInferRequest"), body)
        made.model_name = made.model_name or server.model
        return Request(f"{_SERVICE}/ModelInfer", made.SerializeToString())

    def objection(self, server: Server, check: Sanity, body: bytes) -> str | None:
        """Look at the outputs, raw or not."""
        try:
            found = message("inference.ModelInferResponse").FromString(body)
        except DecodeError as error:
            return f"the answer cannot be read ({error})"
        names = [output.name for output in found.outputs]
        looked_at = [i for i, name in enumerate(names) if not check.outputs or name in check.outputs]
        return json_answers.of_names(check, body, names, all(_is_finite(found, i) for i in looked_at))


def _is_finite(found: Any, index: int) -> bool:
    output = found.outputs[index]
    if index < len(found.raw_output_contents):
        form = _FLOATS.get(output.datatype)
        return form is None or are_finite(found.raw_output_contents[index], form)
    return all(map(math.isfinite, (*output.contents.fp32_contents, *output.contents.fp64_contents)))
