"""Blocking calls beside the loop."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def aside(call: Callable[[], T], seconds: float) -> T:
    """Return what a call returns, made in a thread of its own; raises `TimeoutError` when that takes longer.

    The thread keeps no process alive: what hangs in it ends with the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def work() -> None:
        try:
            done: tuple[T | None, BaseException | None] = (call(), None)
        except Exception as error:  # it is raised where the result is waited for
            done = (None, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, *done)

    threading.Thread(target=work, name="tidegate-git", daemon=True).start()
    async with asyncio.timeout(seconds):
        return await future
