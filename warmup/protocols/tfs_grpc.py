"""TensorFlow Serving over gRPC. Source: its `apis/*.proto`, and TensorFlow's `tensor.proto`."""

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError

from istio_templates.documents.warmup import Sanity
from warmup.plans.tensors import Described, Filled
from warmup.protocols import grpc_bodies, json_answers
from warmup.protocols.base import Server
from warmup.protocols.floats import are_finite
from warmup.protocols.tfs_rest import DTYPES, SIGNATURE
from warmup.protos import message
from warmup.wire import Answer, Request, Transport

_SERVICE = "/tensorflow.serving"
_TYPES = {ours: theirs for theirs, ours in DTYPES.items()}
_FLOATS = {"DT_HALF": "e", "DT_FLOAT": "f", "DT_DOUBLE": "d"}


class TfsGrpc:
    """TensorFlow Serving's gRPC form."""

    transport: Transport = "grpc"

    def ready(self, server: Server) -> Request:
        """Ask for the state of the model's versions."""
        body = message("tensorflow.GetModelStatusRequest")(model_spec=_spec(server))
        return Request(f"{_SERVICE}.ModelService/GetModelStatus", body.SerializeToString())

    def is_ready(self, server: Server, answer: Answer) -> bool:
        """Tell whether a version is AVAILABLE."""
        try:
            found = message("tensorflow.GetModelStatusResponse").FromString(answer.body)
        except DecodeError:
            return False
        available = message("tensorflow.ModelVersionStatus").State.Value("AVAILABLE")
        return answer.fault is None and any(version.state == available for version in found.model_version_status)

    def describe(self, server: Server) -> tuple[Request, ...]:
        """Ask for the model's signatures."""
        kind = message("tensorflow.GetModelMetadataRequest")
        body = kind(model_spec=_spec(server), metadata_field=["signature_def"])
        return (Request(f"{_SERVICE}.PredictionService/GetModelMetadata", body.SerializeToString()),)

    def described(self, server: Server, body: bytes) -> Mapping[str, Described]:
        """Return the inputs of the signature that is called."""
        name = server.target.signature or SIGNATURE
        try:
            found = message("tensorflow.GetModelMetadataResponse").FromString(body)
            packed = found.metadata["signature_def"].value
            signatures = message("tensorflow.SignatureDefMap").FromString(packed).signature_def
        except DecodeError as error:
            raise ValueError(f"the metadata cannot be read ({error})") from error
        if name not in signatures:
            raise ValueError(f"the model has no signature {name}; there are {', '.join(sorted(signatures)) or 'none'}")
        return {key: _described(info) for key, info in signatures[name].inputs.items()}

    def request(self, server: Server, tensors: tuple[Filled, ...]) -> Request:
        """Return a predict request."""
        return _predict(predict(server, tensors))

    def replay(self, server: Server, body: bytes) -> Request:
        """Return a predict request from its JSON form; the model's name is filled in."""
        made = grpc_bodies.from_json(message("tensorflow.PredictRequest"), body)
        made.model_spec.name = made.model_spec.name or server.model
        return _predict(made)

    def objection(self, server: Server, check: Sanity, body: bytes) -> str | None:
        """Look at the outputs."""
        try:
            outputs = message("tensorflow.PredictResponse").FromString(body).outputs
        except DecodeError as error:
            return f"the answer cannot be read ({error})"
        looked_at = [tensor for name, tensor in outputs.items() if not check.outputs or name in check.outputs]
        return json_answers.of_names(check, body, list(outputs), all(map(_is_finite, looked_at)))


def predict(server: Server, tensors: tuple[Filled, ...]) -> Any:
    """Return the PredictRequest that carries tensors: their bytes as `tensor_content`, but strings one by one."""
    body = message("tensorflow.PredictRequest")(model_spec=_spec(server))
    for tensor in tensors:
        made = body.inputs[tensor.name]
        made.dtype = _enum(made).values_by_name[_TYPES[tensor.dtype]].number
        for size in tensor.shape:
            made.tensor_shape.dim.add(size=size)
        if tensor.dtype == "BYTES":
            made.string_val.extend(tensor.elements)
        else:
            made.tensor_content = tensor.raw()
    return body


def _predict(body: Any) -> Request:
    return Request(f"{_SERVICE}.PredictionService/Predict", body.SerializeToString())


def _spec(server: Server) -> Any:
    spec = message("tensorflow.ModelSpec")(name=server.model, signature_name=server.target.signature or SIGNATURE)
    if server.target.version:
        spec.version.value = int(server.target.version)
    return spec


def _described(info: Any) -> Described:
    kind = _enum(info).values_by_number.get(info.dtype)
    theirs = kind.name if kind else str(info.dtype)
    shape = (-1,) if info.tensor_shape.unknown_rank else tuple(dim.size for dim in info.tensor_shape.dim)
    return Described(DTYPES.get(theirs, theirs), shape)


def _is_finite(tensor: Any) -> bool:
    kind = _enum(tensor).values_by_number.get(tensor.dtype)
    form, raw = _FLOATS.get(kind.name if kind else ""), tensor.tensor_content
    if form and raw:
        return are_finite(raw, form)
    return all(map(math.isfinite, (*tensor.float_val, *tensor.double_val)))


def _enum(holder: Any) -> Any:
    """Return TensorFlow's list of types, as the field of a message has it."""
    return holder.DESCRIPTOR.fields_by_name["dtype"].enum_type
