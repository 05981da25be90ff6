"""Connections that say which client certificate they were made with."""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from k8s_manager.api.listener.connections import BoundedConnection

PEER = "tidegate.peer"
"""Where a request's scope has its `Peer`."""
AUTHORITIES: WeakKeyDictionary[ssl.SSLContext, str] = WeakKeyDictionary()
"""The authorities (PEM) for client certificates of each TLS context."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The client certificate of a connection (DER; None without one), and the authorities (PEM) that proved it."""

    certificate: bytes | None
    authorities: str


class PeerConnection(BoundedConnection):
    """A connection whose requests carry the peer in their scope."""

    _peer = Peer(None, "")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, with its certificate as the handshake has left it."""
        made: Any = transport.get_extra_info("ssl_object")
        if made is not None:
            self._peer = Peer(made.getpeercert(binary_form=True), AUTHORITIES.get(made.context, ""))
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        scope: Any = self.scope
        scope[PEER] = self._peer
