"""Waiting: for events to come and then to pause, but not for ever; and for short work that goes first."""

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


class RightOfWay:
    """Lets long work wait for short work that is due in the middle of it.

    `due` is when the short work begins (seconds of the clock); None: not known to come.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._passed = asyncio.Event()
        self.due: float | None = None

    def passed(self) -> None:
        """Note that the short work has been done, or that another time is due."""
        self._passed.set()

    async def give_way(self, seconds: float) -> None:
        """Return when nothing is due within so many seconds, which the long work takes; after twice as many at most."""
        end = self._clock.now() + 2 * seconds
        while self.due is not None and self.due <= self._clock.now() + seconds and self._clock.now() < end:
            self._passed.clear()
            await self._clock.wait(self._passed, end - self._clock.now())
