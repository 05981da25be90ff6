"""The HTTP side of a search store: one call, and what its status means."""

from urllib.parse import urlsplit

import aiohttp

from istio_templates.errors import Invalid, Problem, Stalled
from k8s_manager.collector.sinks.row_sink import SinkUnavailable
from k8s_manager.collector.sinks.search_credentials import Authorization

ANSWER_MAX = 32 * 2**20
"""Bytes of an answer; one to a request of `_bulk` has about 30 for each row."""
TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
TOO_LARGE = 413
ADVICE = {
    401: "give credentials that it knows",
    403: "give the user the rights create_doc and manage_index_templates",
    404: "check its address",
}


class SearchStoreBusy(SinkUnavailable):
    """A search store that asks to be left alone; `after` is in seconds, None where it does not say how long."""

    def __init__(self, sink: str, why: str, after: float | None) -> None:
        super().__init__(sink, why)
        self.after = after


class SearchStore:
    """A store at an address; `name` stands in its errors."""

    def __init__(self, session: aiohttp.ClientSession, address: str, stream: str, authorization: Authorization) -> None:
        self._session, self._authorization = session, authorization
        self._address = checked_address(address)
        self.name = f"{self._address}/{stream}"

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    async def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of an answer; raises `SinkUnavailable` where there is none, or the store is busy."""
        headers = {"Content-Type": "application/x-ndjson" if method == "POST" else "application/json"}
        if given := self._authorized():
            headers["Authorization"] = given
        try:
            async with self._session.request(
                method, self._address + path, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as answer:
                if answer.status == 429 or answer.status >= 500:
                    after = _seconds(answer.headers.get("Retry-After"))
                    raise SearchStoreBusy(self.name, f"it answers {answer.status}", after)
                return answer.status, await self._whole(answer)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise SinkUnavailable(self.name, f"no answer: {type(error).__name__}") from None

    def _authorized(self) -> str | None:
        try:
            return self._authorization()
        except Stalled as error:
            raise SinkUnavailable(self.name, str(error)) from None

    async def _whole(self, answer: aiohttp.ClientResponse) -> bytes:
        out = bytearray()
        async for piece in answer.content.iter_any():
            out += piece
            if len(out) > ANSWER_MAX:
                raise SinkUnavailable(self.name, f"its answer is longer than {ANSWER_MAX} bytes")
        return bytes(out)

    def expect(self, status: int, answer: bytes) -> bytes:
        """Return the body of an answer of success."""
        if status in (200, 201):
            return answer
        advice = ADVICE.get(status, "check its address" if status < 400 else "look into its log")
        raise SinkUnavailable(self.name, f"it answers {status}; {advice}")


def checked_address(address: str) -> str:
    """Return the address of a store; raises `Invalid` where it is none, or holds credentials."""
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise Invalid("the search store", [Problem("address", "is no URL; give http://HOST:PORT")]) from None
    if "@" in parts.netloc:
        raise Invalid("the search store", [Problem("address", "holds credentials; put them into a file")])
    if not good or parts.query or parts.fragment or not address.isprintable() or " " in address:
        raise Invalid("the search store", [Problem("address", "is no address of one; give http://HOST:PORT")])
    return address.rstrip("/")


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() else None
