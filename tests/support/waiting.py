"""Bounded waiting for something that happens elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T] | T], seconds: float = 20.0, what: str = "") -> T:
    """Return the first true value that `look` gives; fail after `seconds` with the last one."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = look()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{what or look} did not come about within {seconds} s; the last look gave {found!r}")
        await asyncio.sleep(0.02)
