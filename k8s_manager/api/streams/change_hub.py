"""What wakes open pages: one listener for all of them. It hears each event once, and marks the pages that the event
concerns and whose reader may see it. Marked pages are woken a few at a time, so that no number of them holds the event
loop for long.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice

from istio_templates.errors import Waiting
from k8s_manager.api.guard import Guard
from k8s_manager.api.streams.event_stream import StreamTerms
from k8s_manager.api.streams.event_view import is_shown
from k8s_manager.authz.roles import Identity
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.events import Event, Events

log = logging.getLogger(__name__)
AT_ONCE = 5
"""Pages that are woken together."""
SETTLED = 0.8
"""Seconds from the first event to the wake: what follows from one change comes with it, such as the limit that follows
from a replica, and is not disturbed by pages that load themselves meanwhile."""
GAP = 0.05
"""Seconds until the next ones: two hundred pages are woken within two seconds."""


@dataclass(frozen=True, slots=True)
class Interest:
    """What a page is about: a model, a tenant with its models, or with both empty everything."""

    tenant: str = ""
    model: str = ""


EVERYTHING = Interest()


@dataclass(eq=False, slots=True)
class ChangeFollower:
    """An open page: `changed` is set when something that it shows has changed, `over` when nothing more will come."""

    token: str
    identity: Identity
    interest: Interest
    due: float
    """When its reader has to be authenticated again."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Let it go."""
        self.over.set()
        self.changed.set()


@dataclass(slots=True)
class _Reader:
    """The open pages of one identity, by what they are about."""

    identity: Identity
    pages: dict[Interest, set[ChangeFollower]] = field(default_factory=dict)

    def concerned(self, interests: tuple[Interest, ...] | None) -> Iterator[ChangeFollower]:
        """Yield its pages about these, or for None all."""
        for interest in self.pages if interests is None else interests:
            yield from self.pages.get(interest, ())


class ChangeHub:
    """All open pages of this manager."""

    def __init__(
        self, events: Events, tenant_of: Callable[[str], str | None], guard: Guard, clock: Clock, terms: StreamTerms
    ) -> None:
        self._events, self._tenant_of, self._guard = events, tenant_of, guard
        self._clock, self._terms = clock, terms
        self._name = secrets.token_hex(4)
        self._readers: dict[tuple[Identity, str], _Reader] = {}
        self._marked: dict[ChangeFollower, float] = {}  # when each may be woken, in that order
        self._has_marked = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._heard = 0

    def mark(self) -> str:
        """Return a mark of this moment: a page that was made after it misses nothing if it follows from it on."""
        return f"{self._name}-{self._heard if self._is_running else self._events.last}"

    @asynccontextmanager
    async def following(self, token: str, interest: Interest, after: str = "") -> AsyncIterator[ChangeFollower]:
        """Follow what changes from a mark on, with the rights of a token's holder; a mark that says nothing here, such
        as one of another manager, counts as a change. Raises `Unidentified` and what else authentication raises."""
        page = ChangeFollower(token, await self._guard.prove(token), interest, self._next_proof())
        self._enter(page)
        if after and self._has_missed(page, after):
            self._mark(page)
        try:
            yield page
        finally:
            self._leave(page)

    async def prove(self, page: ChangeFollower) -> None:
        """Authenticate a page's reader again, if it is time; raises as `following` does."""
        if self._clock.now() >= page.due:
            if await self._guard.prove(page.token) != page.identity:
                page.end()  # its groups are others now: who opens the page again has the rights of those
            page.due = self._next_proof()

    @property
    def _is_running(self) -> bool:
        return self._running is not None and not self._running.done()

    def _next_proof(self) -> float:
        return self._clock.now() + self._terms.proved_again

    def _enter(self, page: ChangeFollower) -> None:
        reader = self._readers.setdefault(_key(page), _Reader(page.identity))
        reader.pages.setdefault(page.interest, set()).add(page)
        if not self._is_running:
            self._heard = self._events.last
            self._running = asyncio.create_task(self._run())

    def _leave(self, page: ChangeFollower) -> None:
        self._marked.pop(page, None)
        pages = self._readers[_key(page)].pages
        pages[page.interest].discard(page)
        if not pages[page.interest]:
            del pages[page.interest]
        if not pages:
            del self._readers[_key(page)]
        if not self._readers and self._running is not None:
            self._running.cancel()
            self._running = None

    async def _run(self) -> None:
        """Hear and wake until the manager stops; then, or where that fails, let all pages go: they come again."""
        parts = [asyncio.ensure_future(part) for part in (self._hear(), self._wake(), self._terms.stop.wait())]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            ended = await asyncio.gather(*parts, return_exceptions=True)
        for error in (one for one in ended if isinstance(one, Exception)):
            log.error("open pages are let go, since what wakes them failed", exc_info=error)
        for page in [page for reader in self._readers.values() for page in reader.concerned(None)]:
            page.end()

    async def _hear(self) -> None:
        async for event in self._events.listen(self._heard):
            is_gap, self._heard = event.id != self._heard + 1, event.id
            self._take(event)
            if is_gap:  # more came at once than are kept: each page may have missed something
                for reader in self._readers.values():
                    for page in reader.concerned(None):
                        self._mark(page)
            await asyncio.sleep(0)  # many events at once do not hold the loop

    def _take(self, event: Event) -> None:
        """Mark the pages that an event concerns: once for each reader it is decided whether that may see it."""
        interests = self._interests(event)
        for reader in self._readers.values():
            pages = [page for page in reader.concerned(interests) if page not in self._marked]
            if pages and self._may_see(reader.identity, event):
                for page in pages:
                    self._mark(page)

    async def _wake(self) -> None:
        while True:
            await self._has_marked.wait()
            now = self._clock.now()
            for page in [page for page, due in islice(self._marked.items(), AT_ONCE) if due <= now]:
                del self._marked[page]
                page.changed.set()
            if not self._marked:
                self._has_marked.clear()
            first = next(iter(self._marked.values()), now)
            await self._clock.wait(self._terms.stop, max(GAP, first - now))

    def _mark(self, page: ChangeFollower) -> None:
        if page not in self._marked:
            self._marked[page] = self._clock.now() + SETTLED
            self._has_marked.set()

    def _interests(self, event: Event) -> tuple[Interest, ...] | None:
        """Return what an event is about, from the narrowest on; None for what may be about every page."""
        namespace, model = event.object.partition("/")[::2]
        if model:
            tenant = self._tenant_of(namespace) or ""
            return Interest(tenant, model), Interest(tenant), EVERYTHING
        if event.details.get("kind") == "Tenant":
            return Interest(event.object), EVERYTHING
        return None if event.type == "override" else (EVERYTHING,)

    def _may_see(self, identity: Identity, event: Event) -> bool:
        try:
            return is_shown(event, self._guard.caller(identity), self._tenant_of)
        except Waiting:  # who may do what is not known: no page either
            return False

    def _has_missed(self, page: ChangeFollower, after: str) -> bool:
        """Tell whether something that a page shows has changed since a mark."""
        name, _, number = after.partition("-")
        if name != self._name or not number.isdecimal():
            return True
        missed = [event for event in self._events.recent() if int(number) < event.id <= self._heard]
        if len(missed) < self._heard - int(number):
            return True
        interests = {event.id: self._interests(event) for event in missed}
        return any(
            ((about := interests[event.id]) is None or page.interest in about) and self._may_see(page.identity, event)
            for event in missed
        )


def _key(page: ChangeFollower) -> tuple[Identity, str]:
    return page.identity, page.identity.source
