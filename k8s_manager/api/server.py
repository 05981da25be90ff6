"""The HTTP server inside the manager's own event loop."""

import asyncio
from contextlib import AbstractContextManager, nullcontext

import uvicorn
from fastapi import FastAPI

GRACE = 5


class _Server(uvicorn.Server):
    """A server that leaves signals to us: by itself it would raise them again and skip everybody's clean-up."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


async def serve(app: FastAPI, listen: tuple[str, int], stop: asyncio.Event) -> None:
    """Serve until `stop`; requests under way may finish."""
    config = uvicorn.Config(
        app,
        host=listen[0],
        port=listen[1],
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE,
        lifespan="off",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.wait([serving, waiter := asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
    finally:
        server.should_exit = True
        await serving
