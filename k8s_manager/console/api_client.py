"""Calls of the REST API inside this process, each with the token of who reads the page."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from starlette.types import ASGIApp, Message

from istio_templates.errors import TidegateError

MOST_PAGES = 40
"""Pages of a list that are read for one page of the console."""
LIMIT = 500
JSON, YAML = "application/json", "application/yaml"


@dataclass(frozen=True, slots=True)
class ApiReply:
    """What the API answered: status, headers in lower case, and the JSON body."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def is_good(self) -> bool:
        """Whether the call did what it asks for."""
        return self.status < 400

    @property
    def refusal(self) -> "ApiRefusal":
        """The problem that it is where it is not good."""
        return ApiRefusal(self.status, self.body)

    def required(self) -> "ApiReply":
        """Return it where it is good; raises `ApiRefusal`."""
        if not self.is_good:
            raise self.refusal
        return self


class ApiRefusal(TidegateError):
    """A problem that the API answered with, in its own words."""

    def __init__(self, status: int, problem: Any) -> None:
        found = problem if isinstance(problem, dict) else {}
        self.status, self.title = status, str(found.get("title") or f"HTTP {status}")
        self.detail = str(found.get("detail") or "the API gave no reason")
        self.problems = [(str(one.get("field", "")), str(one.get("message", ""))) for one in found.get("problems", [])]
        super().__init__(self.detail)


class ApiClient:
    """Calls as one caller, who came from one address."""

    def __init__(self, api: ASGIApp, token: str, address: tuple[str, int] | None = None) -> None:
        self._api, self._token, self._address = api, token, address

    async def get(self, path: str, **query: str) -> Any:
        """Return what a path holds; raises `ApiRefusal`."""
        return (await self.call("GET", path, query)).required().body

    async def items(self, path: str, **query: str) -> list[Any]:
        """Return a whole list, all its pages; raises `ApiRefusal`."""
        found: list[Any] = []
        following = ""
        for _ in range(MOST_PAGES):
            page = await self.get(path, **query, limit=str(LIMIT), **({"continue": following} if following else {}))
            found += page["items"]
            following = page.get("continue") or ""
            if not following:
                break
        return found

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiReply:
        """Make one call and return the answer, whatever it is. A body that is a text is YAML, else it is sent as
        JSON."""
        headers = {**({"content-type": YAML} if isinstance(body, str) else {}), **(headers or {})}
        data = b"" if body is None else body.encode() if isinstance(body, str) else orjson.dumps(body)
        pieces, start = list[bytes](), dict[str, Any]()

        async def take(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                pieces.append(message.get("body", b""))

        await self._api(self._scope(method, path, query, headers, len(data)), _sender(data), take)
        found = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
        text = b"".join(pieces)
        is_json = "json" in found.get("content-type", "")
        return ApiReply(
            start["status"], found, orjson.loads(text) if is_json and text else text.decode(errors="replace")
        )

    async def stream(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[bytes]:
        """Yield the pieces of an answer as they come; raises `ApiRefusal` for one that is none."""
        coming = asyncio.Queue[Message](maxsize=64)
        gone = asyncio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        scope = self._scope("GET", path, query, None, 0)
        serving = asyncio.ensure_future(self._api(scope, receive, coming.put))
        getting, refused = asyncio.ensure_future(coming.get()), 0
        try:
            while True:
                await asyncio.wait([getting, serving], return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    return
                message = getting.result()
                if message["type"] == "http.response.start":
                    refused = message["status"] if message["status"] >= 400 else 0
                elif refused:
                    raise ApiRefusal(refused, _parsed(message.get("body", b"")))
                else:
                    yield message.get("body", b"")
                    if not message.get("more_body"):
                        return
                getting = asyncio.ensure_future(coming.get())
        finally:
            gone.set()
            for task in (serving, getting):
                task.cancel()
            await asyncio.gather(serving, getting, return_exceptions=True)

    def _scope(
        self, method: str, path: str, query: Mapping[str, str] | None, headers: Mapping[str, str] | None, length: int
    ) -> dict[str, Any]:
        given = {"authorization": f"Bearer {self._token}", "content-length": str(length), **(headers or {})}
        if length:
            given.setdefault("content-type", JSON)
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": quote(path).encode(),
            "root_path": "",
            "query_string": urlencode(query or {}).encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in given.items()],
            "client": self._address,
            "server": ("console", 80),
            "state": {},
        }


def _parsed(body: bytes) -> Any:
    """Return a problem; None for what is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _sender(data: bytes) -> Any:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()  # who reads the console is still there
        sent = True
        return {"type": "http.request", "body": data, "more_body": False}

    return receive
