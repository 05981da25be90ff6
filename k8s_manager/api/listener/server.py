"""The HTTP server inside the manager's own event loop."""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from istio_templates.errors import Stalled
from istio_templates.host_port import joined
from k8s_manager.api.listener.connections import BoundedConnection, bound
from k8s_manager.api.listener.tls_acceptor import TlsAcceptor
from k8s_manager.runtime.settings import ConnectionBounds, Tls

log = logging.getLogger(__name__)
GRACE = 5
BACKLOG = 2048
"""Connections that wait to be accepted."""


class _Server(uvicorn.Server):
    """A server that leaves signals to the manager: by itself it would raise them again and skip all clean-up."""

    def __init__(self, config: uvicorn.Config, acceptor: TlsAcceptor | None) -> None:
        super().__init__(config)
        self._acceptor = acceptor

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        if self._acceptor is None:
            await super().startup(sockets)
            return
        made: Any = self.config.http_protocol_class
        state = {"config": self.config, "server_state": self.server_state, "app_state": self.lifespan.state}
        self.servers = [self._acceptor]  # type: ignore[list-item]
        self._acceptor.start(partial(made, **state))
        self.started = True


async def serve(
    app: ASGIApp,
    listen: tuple[str, int],
    stop: asyncio.Event,
    tls: Tls | None = None,
    bounds: ConnectionBounds | None = None,
) -> None:
    """Serve until `stop`, within bounds of connections; requests under way may finish. With `tls` over HTTPS, and with
    its files as they are now. Raises `Stalled` where nothing can listen there."""
    config = uvicorn.Config(
        app,
        host=listen[0],
        port=listen[1],
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE,
        lifespan="off",
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
    config.load()
    within = bounds or ConnectionBounds()
    bound(config, within)
    sockets = listening_sockets(*listen)
    server = _Server(config, TlsAcceptor(sockets, config.ssl, within) if config.ssl else None)
    following = asyncio.create_task(_follow(config.ssl, tls)) if config.ssl and tls else None
    try:
        await _run(server, sockets, stop)
    finally:
        if following:
            following.cancel()


async def serve_over_tls(
    app: ASGIApp,
    listen: tuple[str, int],
    stop: asyncio.Event,
    context: ssl.SSLContext,
    bounds: ConnectionBounds,
    protocol: type[BoundedConnection],
    take: Callable[[TlsAcceptor], None],
) -> None:
    """Serve until `stop` with a TLS context of the caller's, who is given the acceptor, to replace the context there,
    and makes connections of its own kind. Raises `Stalled` where nothing can listen there."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE, lifespan="off", ws="none"
    )
    config.load()
    bound(config, bounds, protocol)
    sockets = listening_sockets(*listen)
    acceptor = TlsAcceptor(sockets, context, bounds)
    take(acceptor)
    await _run(_Server(config, acceptor), sockets, stop)


async def _run(server: _Server, sockets: list[socket.socket], stop: asyncio.Event) -> None:
    serving = asyncio.create_task(server.serve(sockets))
    try:
        await asyncio.wait([serving, waiter := asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
    finally:
        server.should_exit = True
        await serving


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of a host; raises `Stalled` where one cannot be opened."""
    found: list[socket.socket] = []
    try:
        for family, *_, address in dict.fromkeys(socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)):
            opened = socket.create_server(address[:2], family=family, backlog=BACKLOG)
            # For accepted connections too: asyncio's own loop leaves it out there, and a body waits 40 ms for its head.
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            found.append(opened)
    except OSError as error:
        for one in found:
            one.close()
        said = f"{joined(host, port)} cannot be listened on ({_reason(error)})"
        raise Stalled(f"{said}; stop what listens there, or give another address with --listen") from error
    return found


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)


async def _follow(served: ssl.SSLContext, tls: Tls) -> None:
    """Take a new certificate for new connections.

    It is loaded into a context of its own: one that is half written would take the key of the one in use with it.
    """
    seen = _state(tls)
    while True:
        await asyncio.sleep(tls.every)
        now = _state(tls)
        if now == seen:
            continue
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            fresh.load_cert_chain(tls.certificate, tls.key)
        except (OSError, ssl.SSLError) as error:
            log.warning("the certificate in %s is not taken, the last one serves on: %s", tls.certificate, error)
            continue
        served.sni_callback = partial(_switch, fresh)
        seen = now
        log.info("serving with a new certificate from %s", tls.certificate)


def _switch(fresh: ssl.SSLContext, connection: ssl.SSLObject, *_: object) -> None:
    connection.context = fresh


def _state(tls: Tls) -> tuple[object, ...]:
    """Return what changes with the files; a Secret that is mounted changes by its link."""
    try:
        return tuple((stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in (tls.certificate.stat(), tls.key.stat()))
    except OSError:
        return ()
