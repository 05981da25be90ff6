"""Interface of every protocol: how to encode a request, and how to check an answer. Pure; transports are elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from istio_templates.documents.warmup import Sanity, Target
from warmup.plans.tensors import Described, Filled
from warmup.wire import Answer, Request, Transport


@dataclass(frozen=True, slots=True)
class Server:
    """The server that a plan's requests are for: its target, and the name by which it knows the model."""

    target: Target
    model: str


class Unencodable(ValueError):
    """A request that cannot be encoded in this protocol: the plan has to change."""


class Dialect(Protocol):
    """One protocol."""

    transport: Transport

    def ready(self, server: Server) -> Request | None:
        """Return what asks whether the server is ready; None where a connection is all that can be had."""

    def is_ready(self, server: Server, answer: Answer) -> bool:
        """Tell whether the answer to that says that the server is ready."""

    def describe(self, server: Server) -> tuple[Request, ...]:
        """Return what asks for the model's inputs: forms of one question, of which a server may know only the later.
        Empty where the protocol has no such question."""

    def described(self, server: Server, body: bytes) -> Mapping[str, Described]:
        """Return the inputs in the answer to that; `ValueError` where it cannot be read."""

    def request(self, server: Server, tensors: tuple[Filled, ...]) -> Request:
        """Return the request that carries tensors."""

    def replay(self, server: Server, body: bytes) -> Request:
        """Return the request with a body as its author wrote it; raises `Wrong` where it cannot be sent."""

    def objection(self, server: Server, check: Sanity, body: bytes) -> str | None:
        """Return why an answer is not a good one; None where it is."""
