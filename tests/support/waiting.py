"""Bounded waiting for something that happens elsewhere."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.support.bounds import hung

T = TypeVar("T")
PAUSE_SECONDS = 0.02


async def until(look: Callable[[], Awaitable[T] | T], what: str = "") -> T:
    """Return the first true value that `look` gives; fail with the last one when what it looks at must have hung.

    A look that takes long is given pauses as long as itself, so that it does not slow down what it waits for."""
    began = time.monotonic()
    while True:
        looked = time.monotonic()
        found = look()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        waited = time.monotonic() - began
        if waited > hung():
            raise AssertionError(
                f"{what or look} did not come about within {waited:.0f} s; the last look gave {found!r}"
            )
        await asyncio.sleep(max(PAUSE_SECONDS, time.monotonic() - looked))
