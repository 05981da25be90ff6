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
SECONDS = 30  # renewed more often, so that a measurement that died does not keep a model for long
REFUSED = 2


def free(_: int) -> None:
    """Reserve nothing: the caller chose the server."""


def reservation(connection: Connection, path: str) -> Reserve:
    """Return what keeps other measurements off a model for some seconds, or with 0 lets them begin."""
    holder = secrets.token_hex(8)
    return lambda seconds: connection.call("PUT", f"{path}/measurement", {"holder": holder, "seconds": seconds})


async def reserved(reserve: Reserve, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do work while a model is kept for it; it ends when the model can no longer be kept."""
    over, ours = asyncio.Event(), True
    tasks: list[asyncio.Task[Any]] = []
    try:
        try:
            await asyncio.to_thread(reserve, SECONDS)
        except typer.Exit:
            ours = False
            raise
        tasks += [asyncio.create_task(work()), asyncio.create_task(_keep(reserve, over))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[1].done():
            tasks[1].result()
        found: T = await tasks[0]
        return found
    finally:
        over.set()
        for task in tasks[:1]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # a renewal that is under way must not come last
        if ours:
            with contextlib.suppress(typer.Exit):
                await asyncio.to_thread(reserve, 0)


async def _keep(reserve: Reserve, over: asyncio.Event) -> None:
    """Renew until it is over. A refusal ends it, and so does a manager that is away until others might begin."""
    loop = asyncio.get_running_loop()
    kept_until = loop.time() + SECONDS
    while not over.is_set():
        try:
            await asyncio.wait_for(over.wait(), SECONDS / 6)
        except TimeoutError:
            asked = loop.time()
            try:
                await asyncio.to_thread(reserve, SECONDS)
                kept_until = asked + SECONDS
            except typer.Exit as error:
                if error.exit_code == REFUSED or loop.time() > kept_until - SECONDS / 3:
                    raise
