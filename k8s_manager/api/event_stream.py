"""Streams of server-sent events: they end when their reader may not read any more."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from istio_templates.errors import TidegateError
from k8s_manager.authz.roles import Identity


async def proved(
    lines: AsyncGenerator[bytes], prove: Callable[[], Awaitable[Identity]], every: float
) -> AsyncIterator[bytes]:
    """Yield the lines of a stream as long as its reader authenticates; a comment while nothing happens."""
    coming = asyncio.ensure_future(anext(lines))
    due = time.monotonic() + every
    try:
        while True:
            await asyncio.wait([coming], timeout=max(0.0, due - time.monotonic()))
            if time.monotonic() >= due:
                await prove()
                due = time.monotonic() + every
                yield b": still here\n\n"
            if coming.done():
                yield coming.result()
                coming = asyncio.ensure_future(anext(lines))
    except (StopAsyncIteration, TidegateError):
        return
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await lines.aclose()
