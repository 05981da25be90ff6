"""hold_off: wait for events to come, then for them to pause, but not for ever."""

import asyncio

from k8s_manager.runtime.clock import Clock


async def hold_off(
    trigger: asyncio.Event, quiet: float, longest: float, clock: Clock, due: float | None = None
) -> None:
    """Return `quiet` seconds after the last event and at most `longest` after the first, and when a pass is `due`.

    A pass that is due by the clock starts at once: its waiting has been done elsewhere.
    """
    came = await clock.wait(trigger, None if due is None else max(0.0, due - clock.now()))
    deadline = clock.now() + longest
    if due is not None:
        deadline = min(deadline, max(due, clock.now()))
    while came and (left := deadline - clock.now()) > 0:
        trigger.clear()
        came = await clock.wait(trigger, min(quiet, left))
    trigger.clear()
