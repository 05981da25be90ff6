"""Changes of several writes: recorded before the first, and finished by the leader where their manager has died."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

from istio_templates.errors import TidegateError
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import poll
from k8s_manager.runtime.effects.lane import Effects

log = logging.getLogger(__name__)
PAUSE = 2.0
"""Seconds between two looks for abandoned changes."""
K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class ChangeRecovery(Generic[K, R]):
    """Finishes the changes of one sort that no manager has carried on for `patience` seconds.

    `records` returns what is recorded now, by what the change is about; `finish` does what is left of one, and raises
    `TidegateError` where that fails, or where the change is given up.
    """

    def __init__(
        self,
        name: str,
        records: Callable[[], Mapping[K, R]],
        finish: Callable[[K, R], Awaitable[None]],
        clock: Clock,
        patience: float,
    ) -> None:
        self._name, self._records, self._finish = name, records, finish
        self._clock, self._patience = clock, patience
        self._since: dict[K, tuple[R, float]] = {}
        self._under_way: set[K] = set()

    @contextmanager
    def under_way(self, key: K) -> Iterator[None]:
        """Carry out a change of this manager: it is not abandoned."""
        self._under_way.add(key)
        try:
            yield
        finally:
            self._under_way.discard(key)

    async def run(self) -> None:
        """Finish the changes of managers that have died, until cancelled."""
        await poll(self._name, self._finish_others, PAUSE, self._clock, Effects(self._clock, asyncio.Event()))

    async def _finish_others(self) -> None:
        for key, record in self.abandoned(self._records(), self._clock.now()).items():
            try:
                await self._finish(key, record)
                log.info("%s: what another manager had begun for %s is finished", self._name, key)
            except TidegateError as error:
                log.warning("%s: what another manager had begun for %s is not finished: %s", self._name, key, error)

    def abandoned(self, records: Mapping[K, R], now: float) -> dict[K, R]:
        """Return those of all records that are as they were `patience` seconds ago, and none of this manager's own."""
        before, self._since = self._since, {}
        for key, record in records.items():
            if key not in self._under_way:
                known = before.get(key)
                self._since[key] = known if known is not None and known[0] == record else (record, now)
        return {key: record for key, (record, since) in self._since.items() if now - since >= self._patience}
