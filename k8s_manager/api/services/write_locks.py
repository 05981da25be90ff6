"""Who may write now: for one document one after another, and nobody while something is deleted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from istio_templates.documents import Document
from istio_templates.facts import ObjectKey

AT_ONCE = 16
"""Writes under way: the API server, limits and readers want their turn too."""


class WriteLocks:
    """Lets writes of different documents go side by side.

    `pending` are the documents that are on their way to the API server, `promised` those that will follow them: what
    they hold is held already, so that of two claims one wins.
    """

    def __init__(self) -> None:
        self.pending: dict[ObjectKey, Document] = {}
        self.promised: dict[ObjectKey, Document] = {}
        self._locks: WeakValueDictionary[ObjectKey, asyncio.Lock] = WeakValueDictionary()
        self._door, self._idle = asyncio.Lock(), asyncio.Event()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._writes = 0
        self._idle.set()

    def coming(self) -> dict[ObjectKey, Document]:
        """Return all documents that are not there yet and hold something."""
        return {**self.promised, **self.pending}

    @asynccontextmanager
    async def writing(self, key: ObjectKey) -> AsyncIterator[None]:
        """Wait for the turn of a write."""
        async with self._door:
            self._writes += 1
            self._idle.clear()
        try:
            lock = self._locks.get(key)
            if lock is None:
                lock = self._locks[key] = asyncio.Lock()
            async with lock, self._places:
                try:
                    yield
                finally:
                    self.pending.pop(key, None)
        finally:
            self._writes -= 1
            if self._writes == 0:
                self._idle.set()

    @asynccontextmanager
    async def deleting(self) -> AsyncIterator[None]:
        """Wait until nothing is written, and keep writes waiting: what is in use must not go."""
        async with self._door:
            await self._idle.wait()
            yield
