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
