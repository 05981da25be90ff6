"""What keeps an open page true: a word for each change, as server-sent events.

A page gets no content this way. It hears that something has changed, at most once in `PAUSE` seconds, and loads
itself again; a beat tells it that the line still stands.
"""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from k8s_manager.console import ROOT
from k8s_manager.console.api_client import ApiClient
from k8s_manager.console.page import PageReader
from k8s_manager.console.site import ConsoleSite, reader_of
from k8s_manager.runtime.clock import Clock

PAUSE = 2.0
BEAT = 15.0


class LivePages:
    """The route that open pages listen to."""

    def __init__(self, site: ConsoleSite, clock: Clock, stop: asyncio.Event) -> None:
        self._site, self._clock, self._stop = site, clock, stop

    def routes(self) -> list[Route]:
        """Return it."""
        return [Route(f"{ROOT}/live", self._site.read(self._listen))]

    async def _listen(self, request: Request) -> Response:
        reader, about = reader_of(request), request.query_params.get("about", "")
        return StreamingResponse(self._words(reader, about), media_type="text/event-stream")

    async def _words(self, reader: PageReader, about: str) -> AsyncIterator[bytes]:
        changed, over = asyncio.Event(), asyncio.Event()
        reading = asyncio.create_task(self._read(reader.api, about, changed, over))
        ending = asyncio.create_task(self._end(changed, over))
        try:
            yield b"retry: 3000\nevent: open\ndata: now\n\n"
            while not over.is_set() and not reader.session.ended:
                await self._clock.wait(changed, BEAT)
                if not changed.is_set():
                    yield b"event: beat\ndata: now\n\n"
                    continue
                changed.clear()
                yield b"event: changed\ndata: now\n\n"
                await self._clock.wait(over, PAUSE)
        finally:
            for task in (reading, ending):
                task.cancel()
            await asyncio.gather(reading, ending, return_exceptions=True)

    async def _end(self, changed: asyncio.Event, over: asyncio.Event) -> None:
        """End the line when the manager stops: it would wait for it."""
        await self._stop.wait()
        over.set()
        changed.set()

    async def _read(self, api: ApiClient, about: str, changed: asyncio.Event, over: asyncio.Event) -> None:
        """Note changes of what a page is about; the end of the API's stream ends the page's, which asks again."""
        last = (await api.get("/v1/events", follow="false"))["items"]
        after = str(last[-1]["id"]) if last else "0"
        wanted = about.encode()
        try:
            async for piece in api.stream("/v1/events", {"after": after}):
                if piece.startswith(b"id:") and wanted in piece:
                    changed.set()
        finally:
            over.set()
            changed.set()
