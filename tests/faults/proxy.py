"""A way to an API server on which some of the calls go wrong, for a manager in a process of its own."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from tests.faults.injection import ANSWERS, FOREIGN, refusal_of

CALL_FAULTS = ("429", "500", "503", "reset", "lost", "torn", "foreign", "delay")
WATCH_FAULTS = ("410", "503", "reset", "end", "break")
"""`break`: the connection is lost some seconds into the watch."""
DELAY_SECONDS, BREAK_SECONDS = 3.0, 4.0
RETRY_AFTER = "1"
_KEPT = ("Authorization", "Content-Type", "Accept")


class FaultyProxy:
    """Passes calls on to `server`; `share` of them, drawn by `chance`, go wrong. `faults` counts those."""

    def __init__(self, server: str, session: aiohttp.ClientSession, chance: random.Random) -> None:
        self._server, self._session, self._chance = server, session, chance
        self.share, self.faults = 0.0, Counter[str]()
        self.address = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Carry out a call of the manager, or let it go wrong."""
        is_watch = "watch" in request.query
        fault = self._fault(is_watch)
        if fault in ANSWERS:
            headers = {"Retry-After": RETRY_AFTER} if fault == "429" else {}
            return web.json_response(refusal_of(ANSWERS[fault]), status=ANSWERS[fault], headers=headers)
        if fault == "reset":
            return _reset(request)
        if fault == "foreign":
            return web.Response(body=FOREIGN, content_type="application/json")
        if fault == "delay":
            await asyncio.sleep(DELAY_SECONDS)
        return await (self._watch(request, fault) if is_watch else self._call(request, fault))

    def _fault(self, is_watch: bool) -> str:
        if self._chance.random() >= self.share:
            return ""
        fault = self._chance.choice(WATCH_FAULTS if is_watch else CALL_FAULTS)
        self.faults[fault] += 1
        return fault

    def _sent(self, request: web.Request, body: bytes | None) -> aiohttp.client._RequestContextManager:
        headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
        return self._session.request(request.method, self._server + request.raw_path, data=body, headers=headers)

    async def _call(self, request: web.Request, fault: str) -> web.StreamResponse:
        async with self._sent(request, await request.read()) as answer:
            body = await answer.read()
        if fault == "lost":
            return _reset(request)
        if fault != "torn":
            return web.Response(body=body, status=answer.status, content_type=answer.content_type)
        torn = web.StreamResponse(status=answer.status, headers={"Content-Length": str(len(body))})
        await torn.prepare(request)
        await torn.write(body[: len(body) // 2])
        return _reset(request, torn)

    async def _watch(self, request: web.Request, fault: str) -> web.StreamResponse:
        out = web.StreamResponse()
        async with self._sent(request, None) as answer:
            out.set_status(answer.status)
            await out.prepare(request)
            if fault == "end":
                return out
            try:
                async with asyncio.timeout(BREAK_SECONDS if fault == "break" else None):
                    async for piece in answer.content.iter_any():
                        await out.write(piece)
            except TimeoutError:
                return _reset(request, out)
        return out


def _reset(request: web.Request, answer: web.StreamResponse | None = None) -> web.StreamResponse:
    """Break the connection of a call; return what its handler returns then."""
    if request.transport is not None:
        request.transport.abort()
    return answer or web.Response()


@asynccontextmanager
async def faulty_proxy(server: str, chance: random.Random) -> AsyncIterator[FaultyProxy]:
    """Run a proxy before an API server; it is on `address` until the block ends."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        proxy = FaultyProxy(server, session, chance)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", proxy.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            await web.SockSite(runner, listener).start()
            proxy.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            try:
                yield proxy
            finally:
                await runner.cleanup()
