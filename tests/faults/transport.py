"""The session of a manager's Kubernetes client, without a network: calls go to the embedded API in this process, and
those that an injector chooses go wrong as they do over a network."""

import asyncio
import contextvars
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

import aiohttp
import orjson
from aiohttp import web

from k8s_manager.kube.resources import RESOURCES
from k8s_manager.standalone.apiserver import http
from k8s_manager.standalone.apiserver.errors import ApiError
from k8s_manager.standalone.apiserver.registrar import resource_of
from k8s_manager.standalone.apiserver.registry import Kind
from tests.faults.cluster import BREAK, Cluster
from tests.faults.injection import ANSWERS, FOREIGN, Injector, refusal_of

T = TypeVar("T")
LATENCY = 0.002
"""Seconds that a call takes."""
TIMEOUT_SECONDS, DELAY_SECONDS, LAG_SECONDS, DROP_SECONDS = 10.0, 8.0, 10.0, 5.0
HANG_SECONDS = 31.0
"""Longer than any client waits for an answer."""
RETRY_AFTER = "2"
_KINDS = {(found.group_version, found.plural): found.kind for found in RESOURCES.values()}


class Request:
    """A call as the embedded API reads it."""

    def __init__(self, method: str, url: str, params: Any, data: bytes | None, headers: dict[str, str]) -> None:
        self.method, self.path = method, re.sub(r"^https?://[^/]+", "", url)
        self.query = dict(params or {})
        self.headers = headers
        self.content_type = headers.get("Content-Type", "application/json")
        self._data = data or b""

    async def read(self) -> bytes:
        """Return the body."""
        return self._data

    @property
    def place(self) -> tuple[str, str]:
        """The verb of the call, and the kind of its object."""
        group_version, _, plural, name, _ = http._place(self.path)
        kind = _KINDS.get((group_version, plural), plural)
        if self.method == "GET":
            return ("get" if name else "watch" if "watch" in self.query else "list"), kind
        is_apply = self.content_type == "application/apply-patch+yaml"
        verbs = {"POST": "create", "PUT": "replace", "DELETE": "delete", "PATCH": "apply" if is_apply else "patch"}
        return verbs[self.method], kind


class Answer:
    """An answer as the client reads it."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str] | None = None, is_torn: bool = False) -> None:
        self.status, self.headers, self._body, self._is_torn = status, headers or {}, body, is_torn

    async def read(self) -> bytes:
        """Return the body; raises `ClientPayloadError` for one that was torn."""
        if self._is_torn:
            raise aiohttp.ClientPayloadError("the connection was closed in the middle of the answer")
        return self._body


class Stream:
    """The answer to a watch."""

    status, headers = 200, {}

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        self.content = lines


class Transport:
    """One manager's way to the API server. `is_cut`: nothing passes any more, in either direction."""

    def __init__(self, cluster: Cluster, injector: Injector) -> None:
        self._cluster, self._injector = cluster, injector
        self._api = http.Api(cluster.registrar, None)
        self.died = asyncio.Event()
        self.is_cut = False
        self.calls: Counter[tuple[str, str]] = Counter()

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def cut(self) -> None:
        """Let nothing pass any more."""
        self.is_cut = True
        self.died.set()

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, params: Any, data: bytes | None, headers: dict[str, str], timeout: Any
    ) -> AsyncIterator[Answer]:
        """Carry out a call, within the time that the client gives it."""
        async with asyncio.timeout(timeout.total):
            answer = await self._sent(Request(method, url, params, data, headers))
        yield answer

    async def _sent(self, request: Request) -> Answer:
        """Send a call and wait for its answer: a call that was sent is carried out, whatever becomes of its sender."""
        loop = asyncio.get_running_loop()
        work = loop.create_task(self._answered(request), context=contextvars.Context())
        work.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        return await asyncio.shield(work)

    @asynccontextmanager
    async def get(self, url: str, *, params: Any, timeout: Any) -> AsyncIterator[Answer | Stream]:
        """Open a watch."""
        request = Request("GET", url, params, None, {})
        _, kind = request.place
        fault = await self._begin("watch", kind)
        if fault in ANSWERS:
            yield _refusal(ANSWERS[fault])
            return
        if fault == "reset":
            raise aiohttp.ServerDisconnectedError
        lines = self._lines(request, self._cluster.kind(kind), fault)
        try:
            yield Stream(lines)
        finally:
            await lines.aclose()

    async def _begin(self, verb: str, kind: str, namespace: str = "") -> str | None:
        """Count a call and return what goes wrong with it."""
        await asyncio.sleep(LATENCY)
        if self.is_cut:
            raise aiohttp.ClientConnectionError("cut")
        self.calls[verb, kind] += 1
        return self._injector.fault(verb, kind, self._cluster.loop.time(), namespace)

    async def _answered(self, request: Request) -> Answer:
        verb, kind = request.place

        async def carried_out() -> Answer:
            return await self._carried_out(request)

        is_dry = bool(request.query.get("dryRun"))
        namespace = http._place(request.path)[1]
        return await self.carried(
            verb, kind, lambda fault: self._faulty(request, fault, kind), carried_out, namespace, is_dry
        )

    async def carried(
        self,
        verb: str,
        kind: str,
        faulty: Callable[[str], Awaitable[T]],
        work: Callable[[], Awaitable[T]],
        namespace: str = "",
        is_dry: bool = False,
    ) -> T:
        """Carry out a call with what goes wrong with it: `faulty` says what a fault makes of it. A dry run is no write
        before or after which the manager dies."""
        fault = await self._begin(verb, kind, namespace)
        if fault:
            self._injector.under_way += 1
            try:
                return await faulty(fault)
            finally:
                self._injector.under_way -= 1
                self._injector.ended = self._cluster.loop.time()
        death = None if is_dry else self._injector.death(verb)
        if death == "before":
            self._die()
        answer = await work()
        if death == "after":
            self._die()
        return answer

    def _die(self) -> NoReturn:
        self.cut()
        raise asyncio.CancelledError

    async def _carried_out(self, request: Request) -> Answer:
        found = await self._api._serve(request)  # type: ignore[arg-type]
        assert isinstance(found, web.Response) and isinstance(found.body, bytes)
        return Answer(found.status, found.body)

    async def _faulty(self, request: Request, fault: str, kind: str) -> Answer:
        if fault in ANSWERS:
            return _refusal(ANSWERS[fault])
        match fault:
            case "reset":
                raise aiohttp.ServerDisconnectedError
            case "timeout":
                await asyncio.sleep(TIMEOUT_SECONDS)
                raise TimeoutError
            case "hang":
                await asyncio.sleep(HANG_SECONDS)
                raise TimeoutError
            case "delay":
                await asyncio.sleep(DELAY_SECONDS)
                return await self._carried_out(request)
            case "lost":
                await self._carried_out(request)
                raise aiohttp.ServerDisconnectedError
            case "torn":
                answer = await self._carried_out(request)
                return Answer(answer.status, b"", is_torn=True)
            case "foreign":
                return Answer(200, FOREIGN)
            case "stale":
                is_there = self._cluster.has(kind)
                return self._old_list(request, kind) if is_there else await self._carried_out(request)
        raise ValueError(f"{fault} is no fault of a call")

    def _old_list(self, request: Request, kind: str) -> Answer:
        """Return a list as it was when half of all writes had been made."""
        writes = self._cluster.writes
        version = writes[len(writes) // 2].version if writes else self._cluster.store.version
        place, selected = http._place(request.path)[1], http._selected(request)  # type: ignore[arg-type]
        old = self._cluster.at_version(resource_of(self._cluster.kind(kind)), version)
        items = [obj for obj in old if place in ("", obj["metadata"].get("namespace", "")) and selected(obj)]
        body = {"metadata": {"resourceVersion": str(version)}, "items": items}
        return Answer(200, orjson.dumps(body))

    async def _lines(self, request: Request, kind: Kind, fault: str | None) -> AsyncIterator[bytes]:
        """Yield the lines of a watch, with what goes wrong in it."""
        loop, store = self._cluster.loop, self._cluster.store
        length, selected = float(request.query["timeoutSeconds"]), http._selected(request)  # type: ignore[arg-type]
        end, since = loop.time() + length, int(request.query["resourceVersion"])
        if fault == "expired":
            yield http._line("ERROR", ApiError(410, "Expired", "too old resource version").status())
        if fault in ("end", "expired"):
            return
        held: list[bytes] = []
        breaks = loop.time() + DROP_SECONDS
        try:
            async for change in store.watch(resource_of(kind), since, min(15.0, length - 2), lambda: loop.time() < end):
                if self.is_cut or change is BREAK:
                    raise aiohttp.ServerDisconnectedError
                event = http._event(change, kind, "", selected, True)
                if event is None:
                    continue
                line = http._line(*event)
                if fault == "lag":
                    written = self._cluster.written_at.get(change.version, loop.time() - LAG_SECONDS)
                    await asyncio.sleep(max(0.0, written + LAG_SECONDS - loop.time()))
                    self._injector.ended = loop.time()
                if fault == "torn":
                    yield line[: len(line) // 2]
                    return
                if fault == "drop" and loop.time() >= breaks:
                    raise aiohttp.ServerDisconnectedError
                if fault == "drop":
                    self._injector.ended = loop.time()
                    continue
                held.append(line)
                if fault == "reorder" and len(held) < 2 and (change.after or change.before):
                    continue
                if fault == "reorder":
                    self._injector.ended = loop.time()  # what was held back until now came late
                for one in reversed(held):
                    yield one
                    if fault == "repeat":
                        yield one
                held.clear()
        except ApiError as error:
            yield http._line("ERROR", error.status())


def _refusal(status: int) -> Answer:
    return Answer(status, orjson.dumps(refusal_of(status)), {"Retry-After": RETRY_AFTER} if status == 429 else {})
