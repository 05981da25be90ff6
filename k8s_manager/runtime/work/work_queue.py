"""Work of callers that takes more than a few milliseconds, beside the event loop: a thread does it, in fair turns.

One tenant has one piece of work under way, however many callers it has and whatever they send; tenants take turns, and
so do the callers of each. Python runs one thread at a time, so that more threads would not do more, and would take more
from limits.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from istio_templates.errors import TidegateError

T = TypeVar("T")
AT_ONCE = 2
MOST_OF_A_CALLER, MOST = 8, 256
"""Pieces of work that wait for their turn."""


class TooMany(TidegateError):
    """More than a caller may ask for now (429); `after` is in seconds."""

    def __init__(self, message: str, after: float) -> None:
        self.after = after
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Turn:
    """In whose turn work is done: a caller's, among those of a tenant."""

    tenant: str = ""
    caller: str = ""

    @property
    def group(self) -> str:
        """The tenant, or where there is none the caller."""
        return f"tenant {self.tenant}" if self.tenant else f"caller {self.caller}"


TURN: ContextVar[Turn] = ContextVar("turn", default=Turn())  # noqa: B039 - it is frozen
"""The turn of the request that is being answered."""


class WorkQueue:
    """Does work in threads, one piece of each tenant at once."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="tidegate-work")
        self._free, self._waiting = at_once, 0
        self._busy: set[str] = set()
        self._queues: dict[str, dict[str, deque[asyncio.Future[None]]]] = {}

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call returns, made in the turn of the request that is being answered.

        Raises `TooMany` where the caller, or all callers together, have enough calls waiting.
        """
        turn = TURN.get()
        await self._turn(turn)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        finally:
            self._release(turn)

    async def _turn(self, turn: Turn) -> None:
        own = self._queues.get(turn.group, {}).get(turn.caller, deque())
        if len(own) >= MOST_OF_A_CALLER or self._waiting >= MOST:
            raise TooMany(f"{turn.caller or 'the manager'}: enough work waits for its turn; ask again soon", 2)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        own.append(future)
        self._queues.setdefault(turn.group, {})[turn.caller] = own
        self._waiting += 1
        self._begin()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._release(turn)
            raise
        finally:
            self._waiting -= 1

    def _release(self, turn: Turn) -> None:
        self._free += 1
        self._busy.discard(turn.group)
        self._begin()

    def _begin(self) -> None:
        """Give the places that are free to those whose turn it is: after it, a tenant and a caller stand last."""
        while self._free and (group := next((name for name in self._queues if name not in self._busy), None)):
            callers = self._queues.pop(group)
            caller = next(iter(callers))
            waiting = callers.pop(caller)
            while (future := waiting.popleft()).done() and waiting:
                pass  # the caller has stopped waiting
            if waiting:
                callers[caller] = waiting
            if callers:
                self._queues[group] = callers
            if not future.done():
                self._free -= 1
                self._busy.add(group)
                future.set_result(None)
