"""Calls to the webhooks of documents: bounded in time and bytes, and only to addresses that may be called.

A host is resolved once for each call, every address that it has is checked, and the connection is made to one of these:
what the name resolves to a moment later, or where an answer redirects, does not count.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from collectors.http import bounded_body
from istio_templates.errors import Stalled, Transient
from istio_templates.text.web_address import WebAddress, forbidden_address

SECONDS = 10.0
"""In which a receiver has answered."""
MOST_BYTES = 16 * 1024
Forbids = Callable[[str], str | None]
"""Takes an IP address; returns why it is not called, or None."""


class WebhookTransport(Protocol):
    """Sends one message."""

    async def post(self, address: WebAddress, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return the body of an answer; raises `Transient`, or `Stalled` where only an operator can go on."""


class CheckedResolver(AbstractResolver):
    """Resolves hosts to addresses that may be called; `Stalled` where one of them may not."""

    def __init__(self, inner: AbstractResolver, forbids: Forbids) -> None:
        self._inner, self._forbids = inner, forbids

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host; all of them have to be allowed, as any may be the one that answers."""
        found = await self._inner.resolve(host, port, family)
        for one in found:
            if (flaw := self._forbids(one["host"])) is not None:
                raise Stalled(f"{host} resolves to {one['host']}, which {flaw} and is not called; correct its name")
        return found

    async def close(self) -> None:
        """Release what resolves."""
        await self._inner.close()


class WebhookCaller:
    """Calls webhooks over HTTP, each within so many `seconds`. `ca_file` holds authorities beside those that are
    publicly known."""

    def __init__(
        self,
        ca_file: Path | None = None,
        resolver: Callable[[], AbstractResolver] = aiohttp.ThreadedResolver,
        forbids: Forbids = forbidden_address,
        seconds: float = SECONDS,
    ) -> None:
        self._ca_file, self._resolver, self._forbids, self._seconds = ca_file, resolver, forbids, seconds

    async def post(self, address: WebAddress, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return the body of an answer."""
        connector = aiohttp.TCPConnector(
            ssl=await asyncio.to_thread(self._trusted),
            resolver=CheckedResolver(self._resolver(), self._forbids),
            use_dns_cache=False,
            force_close=True,
        )
        sent = {**headers, "Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "tidegate"}
        timeout = aiohttp.ClientTimeout(total=self._seconds, sock_connect=min(3.0, self._seconds))
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, trust_env=False, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                ) as session,
                session.post(address.text, data=body, headers=sent, allow_redirects=False) as answer,
            ):  # fmt: skip
                _require_success(address.host, answer.status)
                return await bounded_body(answer, MOST_BYTES)
        except TimeoutError as error:
            raise Transient(f"{address.host} does not answer within {self._seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Transient(f"{address.host}: {str(error)[:200] or type(error).__name__}") from error

    def _trusted(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        try:
            if self._ca_file is not None:
                context.load_verify_locations(cafile=str(self._ca_file))
        except (OSError, ValueError) as error:
            raise Stalled(f"the file of --webhook-ca-file cannot be read: {error}; give a right one") from error
        return context


def _require_success(host: str, status: int) -> None:
    if 300 <= status < 400:
        raise Transient(f"{host} redirects ({status}), which is not followed; name the address itself")
    if status != 200:
        raise Transient(f"{host} answers {status}")
