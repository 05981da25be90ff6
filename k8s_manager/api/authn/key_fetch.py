"""Fetch of an issuer's documents, over HTTPS and only from where the operator allows."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from istio_templates.errors import Transient

TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=5)
MOST_BYTES = 2**20
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def fetcher(ca_file: Path | None) -> "Fetcher":
    """Return what fetches; `ca_file` holds the authorities of an issuer whose certificate is not publicly known."""
    return Fetcher(ssl.create_default_context(cafile=None if ca_file is None else str(ca_file)))


class Fetcher:
    """Fetches JSON objects. Redirects are not followed: they would lead anywhere."""

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted

    async def __call__(self, address: str) -> dict[str, Any]:
        """Return the JSON object at an address; raises `Transient`."""
        return await self._call("GET", address)

    async def send(self, address: str, form: dict[str, str]) -> dict[str, Any]:
        """Return the JSON object that a form is answered with; raises `Transient`."""
        return await self._call("POST", address, form)

    async def _call(self, method: str, address: str, form: dict[str, str] | None = None) -> dict[str, Any]:
        parts = urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise Transient(f"{address} is not https; an issuer is asked over https only")
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT) as session,
                session.request(method, address, data=form, ssl=self._trusted, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    raise Transient(f"{address} answers {answer.status}")
                found = orjson.loads(await _whole(answer, address))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Transient(f"{address}: {error or type(error).__name__}") from error
        if not isinstance(found, dict):
            raise Transient(f"{address} holds no JSON object")
        return found


async def _whole(answer: aiohttp.ClientResponse, address: str) -> bytes:
    raw = bytearray()
    async for chunk in answer.content.iter_chunked(2**16):
        raw += chunk
        if len(raw) > MOST_BYTES:
            raise Transient(f"{address} answers more than {MOST_BYTES} bytes")
    return bytes(raw)
