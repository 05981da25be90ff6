"""The transport of a manager that dies in the middle of what it writes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp

from k8s_manager.kube.client import KubeClient
from k8s_manager.manager import Manager
from tests.support.fleet import Fleet
from tests.support.waiting import until


class DyingClient(KubeClient):
    """Dies at the n-th write that `counts` (by method and path) from the moment on in which `left` is set to n: before
    it is sent, or (`sent`) once it has arrived. A write that is refused, since a status came between, counts for
    nothing: it is sent again."""

    def __init__(self, server: str, session: aiohttp.ClientSession, counts: Callable[[str, str], bool]) -> None:
        super().__init__(server, session)
        self._counts = counts
        self.left: int | None = None
        self.sent, self.dead = True, asyncio.Event()

    async def call(self, method: str, path: str, what: str, *more: Any) -> Any:
        """Send a request, or never return."""
        if self.dead.is_set():
            await asyncio.Event().wait()
        counts = self.left is not None and self._counts(method, path)
        if counts and self.left == 1 and not self.sent:
            await self._die()
        answer = await super().call(method, path, what, *more)
        if counts and self.left is not None:
            self.left -= 1
            if self.left == 0:
                await self._die()
        return answer

    async def _die(self) -> None:
        self.dead.set()
        await asyncio.Event().wait()


async def call_until_death(
    fleet: Fleet,
    counts: Callable[[str, str], bool],
    death: tuple[int, bool],
    prepare: Callable[[Fleet], Awaitable[None]],
    call: Callable[[Manager], Coroutine[Any, Any, Any]],
) -> None:
    """Prepare a fleet under a manager, and make a call during which it dies: at the n-th write that counts, before
    (False) or after it has arrived (True)."""
    clients: list[DyingClient] = []

    def connect(server: str, session: aiohttp.ClientSession) -> DyingClient:
        clients.append(DyingClient(server, session, counts))
        return clients[-1]

    async with fleet.manager(connect=connect) as manager:
        await prepare(fleet)
        clients[0].left, clients[0].sent = death
        task = asyncio.create_task(call(manager))
        await until(lambda: clients[0].dead.is_set() or (task.done() and task.result()), what="the manager's death")
        task.cancel()
