"""Order of writes: for one document one after another, and none while something is deleted."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from weakref import WeakValueDictionary

from istio_templates.documents import Document
from istio_templates.facts import ObjectKey

AT_ONCE = 16
"""Writes under way: the API server, limits and readers want their turn too."""


class WriteLocks:
    """Lets writes of different documents go side by side.

    The claims of a reserved document count already, so that of two claims one wins.
    """

    def __init__(self) -> None:
        self._pending: dict[ObjectKey, Document] = {}
        self._promised: dict[ObjectKey, Document] = {}
        self._locks: WeakValueDictionary[ObjectKey, asyncio.Lock] = WeakValueDictionary()
        self._door, self._idle = asyncio.Lock(), asyncio.Event()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._writes = 0
        self._idle.set()

    def reserved(self) -> dict[ObjectKey, Document]:
        """Return all documents that hold something and may not be stored yet."""
        return {**self._promised, **self._pending}

    def reserve(self, document: Document) -> None:
        """Hold what a document claims until the turn of its write ends."""
        self._pending[document.key] = document

    @contextmanager
    def promised(self, document: Document) -> Iterator[None]:
        """Hold what a document claims, whose write follows that of others, until the block ends."""
        self._promised[document.key] = document
        try:
            yield
        finally:
            if self._promised.get(document.key) is document:
                del self._promised[document.key]

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
                    self._pending.pop(key, None)
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
