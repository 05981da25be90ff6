"""What goes to a server and what comes back, whichever transport carries it."""

from dataclasses import dataclass
from typing import Literal, Protocol

Pairs = tuple[tuple[str, str], ...]
Transport = Literal["http", "grpc"]
# What to do after a failed call: the plan is wrong; it may pass; no server is there (yet).
FaultKind = Literal["plan", "passing", "absent"]


@dataclass(frozen=True, slots=True)
class Request:
    """One call: an HTTP request, or a unary gRPC call to `path` (`/package.Service/Method`) with a serialised body."""

    path: str
    body: bytes = b""
    method: str = "POST"
    headers: Pairs = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a call was not answered well, in words that a person can act on."""

    kind: FaultKind
    said: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; `fault` is None where it answered well."""

    body: bytes = b""
    fault: Fault | None = None


class ServerConnection(Protocol):
    """A connection to one server."""

    async def send(self, request: Request, timeout: float) -> Answer:
        """Send a request and read its whole answer, within `timeout` seconds. Never raises for what a server does."""

    async def connects(self, timeout: float) -> bool:
        """Tell whether the server's port takes a connection."""

    async def close(self) -> None:
        """Give the connection up."""
