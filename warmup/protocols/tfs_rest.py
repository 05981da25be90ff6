"""TensorFlow Serving over REST.

Source: TensorFlow Serving's `api_rest.md`: model status, metadata, and `:predict` in the columnar form.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from istio_templates.documents.warmup import Sanity
from warmup.plans.tensors import Described, Filled
from warmup.protocols import json_answers
from warmup.protocols.base import Server, Unencodable
from warmup.wire import Answer, Request, Transport

DTYPES = {
    "DT_BOOL": "BOOL", "DT_UINT8": "UINT8", "DT_UINT16": "UINT16", "DT_UINT32": "UINT32", "DT_UINT64": "UINT64",
    "DT_INT8": "INT8", "DT_INT16": "INT16", "DT_INT32": "INT32", "DT_INT64": "INT64", "DT_HALF": "FP16",
    "DT_FLOAT": "FP32", "DT_DOUBLE": "FP64", "DT_STRING": "BYTES",
}  # fmt: skip
SIGNATURE = "serving_default"


class TfsRest:
    """TensorFlow Serving's REST form."""

    transport: Transport = "http"

    def ready(self, server: Server) -> Request:
        """Ask for the state of the model's versions."""
        return Request(_model(server), method="GET")

    def is_ready(self, server: Server, answer: Answer) -> bool:
        """Tell whether a version is AVAILABLE."""
        try:
            found = json_answers.mapping(answer.body).get("model_version_status") if answer.fault is None else None
        except ValueError:
            return False
        return isinstance(found, list) and any(isinstance(v, dict) and v.get("state") == "AVAILABLE" for v in found)

    def describe(self, server: Server) -> tuple[Request, ...]:
        """Ask for the model's signatures."""
        return (Request(f"{_model(server)}/metadata", method="GET"),)

    def described(self, server: Server, body: bytes) -> Mapping[str, Described]:
        """Return the inputs of the signature that is called."""
        name = server.target.signature or SIGNATURE
        try:
            signatures = json_answers.mapping(body)["metadata"]["signature_def"]["signature_def"]
            if name not in signatures:
                raise ValueError(f"the model has no signature {name}; there are {', '.join(sorted(signatures))}")
            return {key: _described(info) for key, info in signatures[name]["inputs"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the metadata cannot be read ({error!r})") from error

    def request(self, server: Server, tensors: tuple[Filled, ...]) -> Request:
        """Return a predict request in the columnar form: each input nested by its shape."""
        inputs = {tensor.name: _nested(tensor.plain(), tensor.shape) for tensor in tensors}
        body = {"signature_name": server.target.signature or SIGNATURE, "inputs": inputs}
        return self._predict(server, orjson.dumps(body))

    def replay(self, server: Server, body: bytes) -> Request:
        """Return a predict request as it was recorded."""
        try:
            json_answers.mapping(body)
        except ValueError as error:
            raise Unencodable(f"a recorded body {error}") from error
        return self._predict(server, body)

    def objection(self, server: Server, check: Sanity, body: bytes) -> str | None:
        """Look at the outputs. A single one stands without its name, and answers to any that is asked for."""
        try:
            answer = json_answers.mapping(body)
        except ValueError as error:
            return f"the answer is no JSON ({error})"
        found = answer.get("outputs", answer.get("predictions"))
        if found is None:
            return "the answer has neither outputs nor predictions"
        named = found if isinstance(found, dict) else dict.fromkeys(check.outputs or ("outputs",), found)
        return json_answers.objection(check, body, named)

    def _predict(self, server: Server, body: bytes) -> Request:
        return Request(f"{_model(server)}:predict", body, headers=(("content-type", "application/json"),))


def _model(server: Server) -> str:
    version = f"/versions/{server.target.version}" if server.target.version else ""
    return f"/v1/models/{server.model}{version}"


def _described(info: Mapping[str, Any]) -> Described:
    shape = info["tensor_shape"]
    sizes = tuple(int(dim["size"]) for dim in shape.get("dim", ()))
    return Described(DTYPES.get(str(info["dtype"]), str(info["dtype"])), (-1,) if shape.get("unknown_rank") else sizes)


def _nested(values: list[Any], shape: tuple[int, ...]) -> Any:
    """Return flat values nested by a shape; a scalar for none."""
    if not shape:
        return values[0]
    if len(shape) == 1:
        return values
    step = len(values) // shape[0]
    return [_nested(values[at : at + step], shape[1:]) for at in range(0, len(values), step)]
