"""Observations beside a scenario: something is looked at again and again while the scenario does its work."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def repeated(look: Callable[[], Awaitable[None]], pause: float = 0.05) -> AsyncIterator[None]:
    """Look again and again, with a pause in seconds, until left; fails with the error of a look that failed."""

    async def run() -> None:
        while True:
            await look()
            await asyncio.sleep(pause)

    task = asyncio.create_task(run())
    try:
        yield
        await stopped(task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def stopped(task: asyncio.Task[None]) -> None:
    """End a task that should run for ever; fails with its error where it no longer does."""
    assert not task.done(), f"it has ended before its time: {task.exception()!r}"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
