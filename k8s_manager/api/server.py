"""The HTTP server inside the manager's own event loop."""

import asyncio
import logging
import ssl
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import uvicorn
from fastapi import FastAPI

from k8s_manager.api.connections import bound
from k8s_manager.runtime.settings import ConnectionBounds, Tls

log = logging.getLogger(__name__)
GRACE = 5


class _Server(uvicorn.Server):
    """A server that leaves signals to the manager: by itself it would raise them again and skip all clean-up."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


async def serve(
    app: FastAPI,
    listen: tuple[str, int],
    stop: asyncio.Event,
    tls: Tls | None = None,
    bounds: ConnectionBounds | None = None,
) -> None:
    """Serve until `stop`, within bounds of connections; requests under way may finish. With `tls` over HTTPS, and with
    its files as they are now."""
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
    bound(config, bounds or ConnectionBounds())
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    following = asyncio.create_task(_follow(config.ssl, tls)) if config.ssl and tls else None
    try:
        await asyncio.wait([serving, waiter := asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
    finally:
        if following:
            following.cancel()
        server.should_exit = True
        await serving


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
