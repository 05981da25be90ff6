"""OpenAI-compatible servers (vLLM and others): completions and chat completions.

`/health` of such a server speaks of its process only; a model that `/v1/models` lists and that answers one completion
is ready. Source: vLLM's OpenAI-compatible server.
"""

import json
from collections.abc import Mapping

from istio_templates.documents.warmup import Sanity
from warmup.plans.tensors import Described, Filled
from warmup.protocols import json_answers
from warmup.protocols.base import Server, Unencodable
from warmup.wire import Answer, Request, Transport

CHAT = "/v1/chat/completions"


class OpenAi:
    """The protocol of OpenAI's servers."""

    transport: Transport = "http"

    def ready(self, server: Server) -> Request:
        """Ask which models are served."""
        return Request("/v1/models", method="GET")

    def is_ready(self, server: Server, answer: Answer) -> bool:
        """Tell whether the plan's model is among them."""
        try:
            found = json_answers.mapping(answer.body).get("data") if answer.fault is None else None
        except ValueError:
            return False
        return isinstance(found, list) and any(isinstance(m, dict) and m.get("id") == server.model for m in found)

    def describe(self, server: Server) -> tuple[Request, ...]:
        """There is nothing to describe: inputs are text."""
        return ()

    def described(self, server: Server, body: bytes) -> Mapping[str, Described]:
        """There is nothing to describe: inputs are text."""
        return {}

    def request(self, server: Server, tensors: tuple[Filled, ...]) -> Request:
        """There are no tensors."""
        raise Unencodable("protocol openai takes a body, no inputs")

    def replay(self, server: Server, body: bytes) -> Request:
        """Return a completion request; the model's name is filled in, and the answer comes in one piece."""
        try:
            given = json_answers.mapping(body)
        except ValueError as error:
            raise Unencodable(f"the body {error}; give a completion request") from error
        filled = {"model": server.model, **given, "stream": False}
        headers = (("content-type", "application/json"),)
        return Request(server.target.path or CHAT, json.dumps(filled).encode(), headers=headers)

    def objection(self, server: Server, check: Sanity, body: bytes) -> str | None:
        """Ask for at least one choice."""
        try:
            answer = json_answers.mapping(body)
        except ValueError as error:
            return f"the answer is no JSON ({error})"
        if not answer.get("choices"):
            return "the answer has no choices"
        return json_answers.objection(check, body, answer)
