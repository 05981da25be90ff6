"""Simulated time: an event loop that jumps to whatever is waited for next, so that hours pass in milliseconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from k8s_manager.runtime.clock import SystemClock

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)
MOST_TURNS = 200_000
"""Turns of the loop in which no time passes, before it counts as running hot."""


class RanHot(AssertionError):
    """The loop turned and turned, and no time passed."""


class _Jumping(selectors.SelectSelector):
    """A selector that does not wait: it moves the time on."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self._turns = 0.0, 0

    def select(self, timeout: float | None = None) -> Any:
        self._turns = 0 if timeout else self._turns + 1
        if self._turns > MOST_TURNS:
            raise RanHot(f"at {self.now} s")
        self.now += timeout or 0.0
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in simulated time; nothing in it may do real I/O."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class SimulatedClock(SystemClock):
    """The clock of a simulated loop."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def utc(self) -> datetime:
        return START + timedelta(seconds=self.now())


def simulate(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main)
