"""A model kept for one measurement while that goes on, by the manager's word."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer

from k8s_manager.cli.connection import Connection

T = TypeVar("T")
Reserve = Callable[[int], Any]
SECONDS = 30  # renewed three times as often, so that a measurement that died does not keep a model for long


def free(_: int) -> None:
    """Reserve nothing: a server of somebody's choice is theirs."""


def reservation(connection: Connection, path: str) -> Reserve:
    """Return what keeps other measurements off a model for some seconds, or with 0 lets them begin."""
    holder = secrets.token_hex(8)
    return lambda seconds: connection.call("PUT", f"{path}/measurement", {"holder": holder, "seconds": seconds})


async def reserved(reserve: Reserve, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do work while a model is kept for it; it ends when the model can no longer be kept."""
    await asyncio.to_thread(reserve, SECONDS)
    task, keeping = asyncio.create_task(work()), asyncio.create_task(_keep(reserve))
    try:
        await asyncio.wait({task, keeping}, return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
        return await task
    finally:
        for one in (task, keeping):
            one.cancel()
        await asyncio.gather(task, keeping, return_exceptions=True)
        with contextlib.suppress(typer.Exit):
            await asyncio.to_thread(reserve, 0)


async def _keep(reserve: Reserve) -> None:
    while True:
        await asyncio.sleep(SECONDS / 3)
        await asyncio.to_thread(reserve, SECONDS)
