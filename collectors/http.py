"""Reading what a pod shows of itself over HTTP."""

import aiohttp

from istio_templates.host_port import joined

_PATIENCE = aiohttp.ClientTimeout(total=3, sock_connect=1)


def url(address: str, port: int, path: str) -> str:
    """Return the URL of a path at a pod's address, IPv6 ones included."""
    return f"http://{joined(address, port)}{path}"


async def text(session: aiohttp.ClientSession, address: str, port: int, path: str) -> str | None:
    """Return what a pod answers; None where it does not, or answers something else than text."""
    try:
        async with session.get(url(address, port, path), timeout=_PATIENCE) as answer:
            return await answer.text() if answer.status == 200 else None
    except (TimeoutError, aiohttp.ClientError, OSError, UnicodeDecodeError):
        return None


async def bounded_body(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body of an answer; raises `aiohttp.ClientPayloadError` where it has more bytes than `most`."""
    out = bytearray()
    async for piece in answer.content.iter_any():
        out += piece
        if len(out) > most:
            raise aiohttp.ClientPayloadError(f"the answer has more than {most} bytes")
    return bytes(out)
