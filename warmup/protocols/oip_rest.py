"""Open Inference Protocol over REST (Triton, MLServer, OpenVINO, KServe's runtimes).

Source: KServe's `required_api.md` of the v2 protocol: readiness, metadata and inference of a model.
"""

from collections.abc import Mapping

import orjson

from istio_templates.documents.warmup import Sanity
from warmup.plans.tensors import Described, Filled
from warmup.protocols import json_answers
from warmup.protocols.base import Server, Unencodable
from warmup.wire import Answer, Request, Transport


class OipRest:
    """The protocol's REST form."""

    transport: Transport = "http"

    def ready(self, server: Server) -> Request:
        """Ask for the model's own readiness: the server's says nothing of a model loaded later."""
        return Request(f"{_model(server)}/ready", method="GET")

    def is_ready(self, server: Server, answer: Answer) -> bool:
        """Tell whether it was 200; what the body says is not specified."""
        return answer.fault is None

    def describe(self, server: Server) -> tuple[Request, ...]:
        """Ask for the model's metadata."""
        return (Request(_model(server), method="GET"),)

    def described(self, server: Server, body: bytes) -> Mapping[str, Described]:
        """Return the inputs in the metadata."""
        inputs = json_answers.mapping(body).get("inputs")
        if not isinstance(inputs, list):
            raise ValueError("the metadata list no inputs")
        try:
            return {i["name"]: Described(str(i["datatype"]), tuple(int(n) for n in i["shape"])) for i in inputs}
        except (KeyError, TypeError) as error:
            raise ValueError(f"the metadata's inputs cannot be read ({error!r})") from error

    def request(self, server: Server, tensors: tuple[Filled, ...]) -> Request:
        """Return an inference request, its data flat."""
        inputs = [{"name": t.name, "shape": list(t.shape), "datatype": t.dtype, "data": t.plain()} for t in tensors]
        return self._infer(server, orjson.dumps({"inputs": inputs}))

    def replay(self, server: Server, body: bytes) -> Request:
        """Return an inference request as it was recorded."""
        try:
            json_answers.mapping(body)
        except ValueError as error:
            raise Unencodable(f"a recorded body {error}") from error
        return self._infer(server, body)

    def objection(self, server: Server, check: Sanity, body: bytes) -> str | None:
        """Look at the outputs' data."""
        try:
            outputs = json_answers.mapping(body).get("outputs")
        except ValueError as error:
            return f"the answer is no JSON ({error})"
        if not isinstance(outputs, list) or not all(isinstance(o, dict) for o in outputs):
            return "the answer has no outputs"
        return json_answers.objection(check, body, {str(o.get("name")): o.get("data") for o in outputs})

    def _infer(self, server: Server, body: bytes) -> Request:
        return Request(f"{_model(server)}/infer", body, headers=(("content-type", "application/json"),))


def _model(server: Server) -> str:
    version = f"/versions/{server.target.version}" if server.target.version else ""
    return f"/v2/models/{server.model}{version}"
