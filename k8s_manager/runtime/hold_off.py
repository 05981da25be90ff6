"""hold_off: wait for events to come, then for them to pause, but not for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable

from k8s_manager.runtime.clock import Clock


async def hold_off(
    dirty: asyncio.Event, quiet: float, longest: float, clock: Clock, wake_at: Callable[[], float | None] = lambda: None
) -> AsyncIterator[None]:
    """Yield `quiet` seconds after the last event and at most `longest` after the first, and at `wake_at()`.

    A pass that is due by the clock starts at once: its waiting has been done elsewhere.
    """
    while True:
        due = wake_at()
        came = await clock.wait(dirty, None if due is None else max(0.0, due - clock.now()))
        deadline = clock.now() + longest
        if due is not None:
            deadline = min(deadline, max(due, clock.now()))
        while came and (left := deadline - clock.now()) > 0:
            dirty.clear()
            came = await clock.wait(dirty, min(quiet, left))
        dirty.clear()
        yield
