"""What keeps an open page true: a word for each change, as server-sent events.

A page gets no content this way. It hears that something has changed, at most once in `PAUSE` seconds, and loads
itself again; a beat tells it that the line still stands. Each word has a mark, from which on a page that has lost the
line goes on: what it has missed is a change.
"""

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from istio_templates.errors import TidegateError
from k8s_manager.api.streams.change_hub import ChangeFollower, ChangeHub, Interest
from k8s_manager.console import ROOT
from k8s_manager.console.page import PageReader
from k8s_manager.console.site import ConsoleSite, reader_of
from k8s_manager.runtime.clock import Clock

PAUSE = 2.0
BEAT = 15.0


class LivePages:
    """The route that open pages listen to."""

    def __init__(self, site: ConsoleSite, changes: ChangeHub, clock: Clock) -> None:
        self._site, self._changes, self._clock = site, changes, clock

    def routes(self) -> list[Route]:
        """Return it."""
        return [Route(f"{ROOT}/live", self._site.read(self._listen))]

    async def _listen(self, request: Request) -> Response:
        tenant, _, model = request.query_params.get("about", "").partition("/")
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        words = self.words(reader_of(request), Interest(tenant, model), after)
        return StreamingResponse(words, media_type="text/event-stream")

    async def words(self, reader: PageReader, interest: Interest, after: str) -> AsyncIterator[bytes]:
        """Yield the words for a page from a mark on, until its reader may not read any more, or the manager stops."""
        try:
            async with self._changes.following(reader.session.token, interest, after) as page:
                yield b"retry: 3000\n" + self._word("open")
                while not await self._is_over(reader, page):
                    if not page.changed.is_set():
                        yield self._word("beat")
                        continue
                    page.changed.clear()
                    yield self._word("changed")
                    await self._clock.wait(page.over, PAUSE)
        except TidegateError:  # the reader is authenticated no more: the page asks again, and is sent to the sign-in
            return

    async def _is_over(self, reader: PageReader, page: ChangeFollower) -> bool:
        """Wait for a change or for the next beat; tell whether the page's line ends there."""
        await self._clock.wait(page.changed, BEAT)
        await self._changes.prove(page)
        return page.over.is_set() or not reader.session.holds(self._clock.now())

    def _word(self, name: str) -> bytes:
        return b"id: %s\nevent: %s\ndata: now\n\n" % (self._changes.mark().encode(), name.encode())
