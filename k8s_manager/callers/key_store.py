"""The Secret with the keys by which tokens of callers are signed: read to issue a token, and changed one by one."""

import asyncio
from collections.abc import Callable

from istio_templates.facts import Manifest
from k8s_manager.callers.key_book import (
    KeyBook,
    MakeKey,
    SigningKey,
    book_in,
    generated,
    rotated,
    secret_of,
    with_key,
    without_ended,
)
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, WriteConflict
from k8s_manager.kube.own_namespace import ensure_namespace
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import Clock
from k8s_manager.world.installation import CALLER_KEYS

ATTEMPTS = 8
PAUSE = 0.05
"""Seconds until a change that another manager has overtaken is made again."""


class KeyStore:
    """Reads and writes the keys. Private ones are not kept: each token is signed by what the Secret holds then."""

    def __init__(self, client: KubeClient, store: Store, clock: Clock, make: MakeKey = generated) -> None:
        self._client, self._store, self._clock, self._make = client, store, clock, make

    async def signing_key(self, tenant: str) -> SigningKey:
        """Return the key that signs for a tenant; the first time it is made."""
        book = await self._changed(lambda found: with_key(found, tenant, self._make))
        return next(key for key in book[tenant] if not key.until)

    async def rotate(self, tenant: str, at_once: bool, dry_run: bool = False) -> tuple[SigningKey, ...]:
        """Make a new key that signs for a tenant; return its keys, the new one first. Tokens of those before stay good
        until they expire, `at_once`: they are good no more. A dry run writes nothing, and returns no new key."""
        now = self._clock.utc()
        if dry_run:
            return rotated(book_in(await self._live()), tenant, now, at_once, self._make)[tenant][1:]
        return (await self._changed(lambda found: rotated(found, tenant, now, at_once, self._make)))[tenant]

    async def _changed(self, change: Callable[[KeyBook], KeyBook]) -> KeyBook:
        """Change the keys; where another manager was faster, on top of what that has written."""
        for attempt in range(ATTEMPTS):
            live = await self._live()
            before = book_in(live)
            after = change(before)
            if after == before:
                return before
            try:
                await self._write(self._without_ended(after), live)
                return after
            except WriteConflict:
                if attempt == ATTEMPTS - 1:
                    raise
            await self._clock.wait(asyncio.Event(), PAUSE)
        raise AssertionError("the last attempt returns or raises")

    async def _live(self) -> Manifest | None:
        try:
            return await self._client.get(CALLER_KEYS)
        except Absent:
            return None

    async def _write(self, book: KeyBook, live: Manifest | None) -> None:
        """Write the Secret over the one that was read, and show the World its public part at once."""
        secret = secret_of(book, live)
        if live is None:
            await ensure_namespace(self._client, self._store, CALLER_KEYS.namespace)
            self._store.put(await self._client.create(secret))
        else:
            self._store.put(await self._client.replace(secret))

    def _without_ended(self, book: KeyBook) -> KeyBook:
        """Return the keys that are still of use, as far as this manager knows the tenants."""
        if not self._store.synced.is_set():
            return book
        tenants = frozenset(obj["metadata"]["name"] for obj in self._store.all("Tenant"))
        return without_ended(book, tenants, self._clock.utc())
