"""Accepts connections over TLS: how many handshakes are under way, and how long each may take.

A connection is no HTTP connection before its handshake is done. As many may be in theirs as there may be connections,
for as long as the head of a request may take; the others are closed, since nothing can be answered there. An event loop
that accepts by itself does not tell of a connection before its handshake, so that none of them could be counted.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from k8s_manager.api.listener.census import Census
from k8s_manager.runtime.settings import ConnectionBounds

log = logging.getLogger(__name__)
SHUTDOWN = 1.0
"""Seconds that a client has to agree to the end of its connection, which is counted no more."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE = 1.0
"""Seconds until the next attempt after one that failed, as where no file descriptor is left."""


class TlsAcceptor:
    """The listening sockets of a server over TLS, in place of the servers that an event loop makes. `context` is for
    new connections, and may be replaced."""

    def __init__(self, sockets: list[socket.socket], context: ssl.SSLContext, bounds: ConnectionBounds) -> None:
        self.sockets = sockets
        self.context, self._bounds = context, bounds
        self._census = Census()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, make: Callable[[], asyncio.Protocol]) -> None:
        """Accept connections; each gets its protocol when its handshake is done."""
        for listening in self.sockets:
            listening.setblocking(False)
            self._run(self._accept(listening, make))

    def close(self) -> None:
        """Accept none, and end the handshakes that are under way."""
        for task in self._tasks:
            task.cancel()
        for listening in self.sockets:
            listening.close()

    async def wait_closed(self) -> None:
        """Wait until all of them have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    log.warning("a connection was not accepted, tried again in %s s: %s", PAUSE, error)
                    await asyncio.sleep(PAUSE)
                continue
            finally:
                await asyncio.sleep(0)  # where many wait, accepting them is no reason to do nothing else
            address = str(peer[0])
            if self._census.enter(address, self._bounds):
                self._run(self._shake_hands(connection, address, make))
            else:
                connection.close()

    async def _shake_hands(self, connection: socket.socket, address: str, make: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                make,
                connection,
                ssl=self.context,
                ssl_handshake_timeout=self._bounds.head,
                ssl_shutdown_timeout=SHUTDOWN,
            )
        except OSError as error:  # every failure of TLS is one
            log.debug("the TLS handshake of %s failed: %s", address, error)
        except Exception:
            log.exception("a connection from %s could not be served", address)
            connection.close()
        finally:
            self._census.leave(address)
