"""Bounds of connections to the REST API: how many there are, and how long each may take to send its request.

A client that opens a connection and sends nothing, or a byte now and then, gets 408 and is disconnected; beyond the
caps a new connection gets 503. Answers may take as long as they take: a stream of events is one.
"""

import asyncio
from functools import partial
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from k8s_manager.api.listener.census import Census
from k8s_manager.runtime.settings import ConnectionBounds

REFUSED = 0.5
"""Seconds that one connection too many has to read why."""
_WHY = {
    408: "the request took too long to arrive; send it at once",
    431: "the request line and its headers are too long; shorten them",
    503: "there are too many connections; close some, and use each for several calls",
}
_PHRASES = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


def bound(config: Config, bounds: ConnectionBounds, protocol: "type[BoundedConnection] | None" = None) -> None:
    """Have a server keep to bounds; the configuration has been loaded. `protocol` makes connections that know more."""
    made: Any = partial(protocol or BoundedConnection, bounds, Census())
    config.http_protocol_class = made
    config.timeout_keep_alive = bounds.idle


class BoundedConnection(HttpToolsProtocol):
    """One connection: its head and its body have a deadline each, from their first byte on, and the head a size."""

    def __init__(self, bounds: ConnectionBounds, census: Census, **given: Any) -> None:
        super().__init__(**given)
        self._bounds, self._census = bounds, census
        self._address = ""
        self._is_counted = self._is_ended = False
        self._deadline: asyncio.TimerHandle | None = None
        self._head = 0
        self._has_begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or answer that there are enough."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._is_counted = self._census.enter(self._address, self._bounds)
        if not self._is_counted:
            self._refuse(503)
        else:
            self._within(self._bounds.head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._at_ease()
        if self._is_counted:
            self._is_counted = False
            self._census.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came; what belongs to no request yet counts as a part of the next head."""
        if self._is_ended:
            return
        waits = self.cycle is None or self.cycle.response_complete
        if waits and self._deadline is None:
            self._within(self._bounds.head)
        super().data_received(data)
        if self._has_begun:
            self._head += len(data)
            if self._head > self._bounds.head_bytes:
                self._refuse(431)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._has_begun, self._head = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Go on with the body, in a time of its own; answer a head that is too long at once."""
        self._has_begun = False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        app = self.app
        if size > self._bounds.head_bytes or len(self.headers) > self._bounds.headers:
            self.app = _too_long
        super().on_headers_complete()
        self.app = app
        self._within(self._bounds.body)

    def on_message_complete(self) -> None:
        """Let the answer take its time."""
        self._at_ease()
        super().on_message_complete()

    def _within(self, seconds: float) -> None:
        self._at_ease()
        self._deadline = self.loop.call_later(seconds, self._late)

    def _at_ease(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        is_answered = self.cycle is not None and self.cycle.response_started and not self._has_begun
        self._refuse(None if is_answered else 408)

    def _refuse(self, status: int | None) -> None:
        """End a connection, with an answer unless one is under way."""
        self._is_ended = True
        if self.transport.is_closing():
            return
        if status is not None:
            self.transport.write(_answer(status))
        self.transport.close()
        if not self._is_counted:
            self.loop.call_later(REFUSED, self.transport.abort)  # over TLS a client could delay the end


def _answer(status: int) -> bytes:
    text = _WHY[status].encode() + b"\n"
    head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: text/plain; charset=utf-8\r\n"
    return f"{head}content-length: {len(text)}\r\nretry-after: 5\r\nconnection: close\r\n\r\n".encode() + text


async def _too_long(_scope: Scope, _receive: Receive, send: Send) -> None:
    text = _WHY[431].encode() + b"\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": text})
