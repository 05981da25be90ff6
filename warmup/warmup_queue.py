"""Places for warm-ups: how many replicas may be warmed at once, and whose turn it is.

A replica that waits for its server to load holds none. Of the namespaces that wait for a place, the one with the fewest
goes first: one namespace's replicas never keep another's waiting for long, and at most half of all places are one
namespace's.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from warmup.pods import GatedPod


@dataclass(frozen=True, slots=True)
class WarmupBounds:
    """How many replicas may be warmed at once, in all and on one node."""

    overall: int = 32
    per_node: int = 8

    @property
    def per_namespace(self) -> int:
        """Return how many of them may be one namespace's."""
        return max(1, self.overall // 2)


def next_ones(holding: list[GatedPod], waiting: list[GatedPod], bounds: WarmupBounds) -> list[GatedPod]:
    """Return which of the waiting pods, longest first, get a place now."""
    nodes, spaces = Counter(pod.node for pod in holding), Counter(pod.namespace for pod in holding)
    left, chosen = list(waiting), list[GatedPod]()
    while len(holding) + len(chosen) < bounds.overall:
        able = [p for p in left if nodes[p.node] < bounds.per_node and spaces[p.namespace] < bounds.per_namespace]
        if not able:
            break
        pod = min(able, key=lambda p: spaces[p.namespace])
        left.remove(pod)
        chosen.append(pod)
        nodes[pod.node] += 1
        spaces[pod.namespace] += 1
    return chosen


class Places:
    """Gives places out."""

    def __init__(self, bounds: WarmupBounds) -> None:
        self._bounds = bounds
        self._holding: list[GatedPod] = []
        self._waiting: list[tuple[GatedPod, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def place(self, pod: GatedPod) -> AsyncIterator[None]:
        """Hold a place until the block ends."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((pod, turn))
        self._give()
        try:
            await turn
            yield
        finally:
            self._waiting = [(other, its) for other, its in self._waiting if its is not turn]
            if turn.done() and not turn.cancelled():
                self._holding.remove(pod)
            self._give()

    def _give(self) -> None:
        for pod in next_ones(self._holding, [pod for pod, _ in self._waiting], self._bounds):
            number = next(i for i, (other, _) in enumerate(self._waiting) if other is pod)
            _, turn = self._waiting.pop(number)
            if not turn.cancelled():
                self._holding.append(pod)
                turn.set_result(None)
