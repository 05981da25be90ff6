"""Simulated time: an event loop whose clock jumps to the next timer instead of waiting for it.

Nothing in a run waits for the machine, so that minutes of a manager's life take milliseconds, and the same seed gives
the same run. Network calls end at once: an address that `network` knows is answered in this
process, all others refuse.
"""

import asyncio
import random
import selectors
import socket
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from k8s_manager.runtime.clock import SystemClock

T = TypeVar("T")
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
"""The wall clock at second 0 of every run."""


class Stuck(AssertionError):
    """Everything in a run waits for something that nobody will do."""


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that advances the clock of its loop where it would have waited."""

    def __init__(self, advance: Callable[[float | None], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout != 0:
            self._advance(timeout)
        return found


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in simulated seconds, with a network of its own."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self.network: dict[str, Callable[[], asyncio.BaseProtocol]] = {}
        self._addresses: dict[socket.socket, str] = {}
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        """Return the simulated seconds since the run began."""
        return self._seconds

    def _jump(self, seconds: float | None) -> None:
        if seconds is None:
            raise Stuck("nothing is due any more, and the run has not ended")
        self._seconds += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Call a function at once: threads have a time of their own."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect a socket to a server of `network`."""
        if address[0] not in self.network:
            raise ConnectionRefusedError(f"nobody listens at {address}")
        self._addresses[sock] = address[0]

    async def create_connection(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        """Return a connection to the server to which the socket was connected."""
        sock = kwargs.get("sock")
        address = self._addresses.pop(sock, None) if sock else None
        if address is None:
            return await super().create_connection(protocol_factory, *args, **kwargs)
        sock.close()
        ours, theirs = socket.socketpair()
        await super().create_connection(self.network[address], sock=theirs)
        return await super().create_connection(protocol_factory, **{**kwargs, "sock": ours})


class SimulatedClock(SystemClock):
    """The clock of one manager on a simulated loop; `wall` is how far its wall clock is wrong."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.wall = timedelta()

    def now(self) -> float:
        """Return the simulated seconds, never going back."""
        return self._loop.time()

    def utc(self) -> datetime:
        """Return the wall clock."""
        return BEGIN + timedelta(seconds=self._loop.time()) + self.wall


L = TypeVar("L", bound=SimulatedLoop)


def simulate(run: Callable[[L], Coroutine[Any, Any, T]], seed: int, make_loop: Callable[[], L]) -> T:
    """Run a coroutine in simulated time, with the same random numbers for the same seed."""
    state, loop = random.getstate(), make_loop()
    random.seed(seed)
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(run(loop))
    finally:
        random.setstate(state)


async def until(look: Callable[[], Awaitable[Any] | Any], what: str, seconds: float = 60.0, every: float = 0.1) -> None:
    """Wait in simulated time until `look` gives something true; raises `Stuck` when it does not for so long."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        found = look()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        if loop.time() >= end:
            raise Stuck(f"{what} did not come about within {seconds:g} simulated seconds")
        await asyncio.sleep(every)
