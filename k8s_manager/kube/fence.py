"""The leader's fence: nothing that changes the cluster is sent once the lease may be another's.

A process that was stopped for a while (SIGSTOP, a frozen machine) goes on in the middle of whatever it did, before it
notices that another manager leads. So every effect of a leader goes through `FencedClient`, which asks the fence before
each request. Commits to Git ask it before each push. What the check cannot see, a request that was under way when the
process was stopped, is what preconditions are for (`k8s_manager.kube.base_version`).
"""

import asyncio
from math import inf
from typing import Any

from istio_templates.facts import Manifest
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Fenced
from k8s_manager.runtime.clock import Clock


class Fence:
    """Until when a manager leads, on its own monotonic clock.

    `clock` None is a manager without a Lease, which is the only one and always leads.
    """

    def __init__(self, clock: Clock | None) -> None:
        self._clock, self._until = clock, -inf

    def extend(self, until: float) -> None:
        """Let effects pass until a moment of the clock."""
        self._until = until

    def close(self) -> None:
        """Let nothing pass until it is extended."""
        self._until = -inf

    @property
    def left(self) -> float:
        """Seconds for which effects still pass; not above 0 where they do not."""
        return inf if self._clock is None else self._until - self._clock.now()

    def is_open(self) -> bool:
        """Tell whether effects pass now; any thread may ask."""
        return self.left > 0


class FencedClient(KubeClient):
    """The client of a leader's loops: what changes something passes the fence, and ends with the lease."""

    def __init__(self, client: KubeClient, fence: Fence) -> None:
        super().__init__(client.server, client.session, client.spans)
        self._client, self.fence = client, fence

    async def call(
        self,
        method: str,
        path: str,
        what: str,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Send a request unless it would change something for a manager that may not lead any more; raises `Fenced`."""
        if method == "GET":
            return await self._client.call(method, path, what, query, body, content_type)
        left = self.fence.left
        if left <= 0:
            raise Fenced(f"{what}: the lease of this manager has run out; the manager that leads now does it")
        try:
            async with asyncio.timeout(None if left == inf else left):
                return await self._client.call(method, path, what, query, body, content_type)
        except TimeoutError as error:
            raise Fenced(
                f"{what}: the lease of this manager ran out meanwhile; it is done by the next leader"
            ) from error
