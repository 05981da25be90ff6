"""Time, passed in: seconds that only go forward, and the wall clock for what people read."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

WALL_LOOK = 30.0
"""Seconds after which a moment of the wall clock, such as the end of an override, is checked again: the clock may have
been set meanwhile."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """What the loops know of time."""

    def now(self) -> float:
        """Return seconds since some moment, never going back."""

    def utc(self) -> datetime:
        """Return the wall clock, for people."""

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        """Wait for `event`, at most `seconds`; tell whether it came."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return the monotonic clock; where the system can, it counts on while the machine sleeps, as leases do."""
        return time.clock_gettime(_CLOCK)

    def utc(self) -> datetime:
        """Return the wall clock in UTC."""
        return datetime.now(UTC)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        """Wait for `event`, at most `seconds`; tell whether it came."""
        try:
            async with asyncio.timeout(seconds):
                return await event.wait()
        except TimeoutError:
            return False
