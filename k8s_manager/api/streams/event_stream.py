"""Streams of server-sent events: they end when their reader may not read any more, and when the manager stops."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from istio_templates.errors import TidegateError
from k8s_manager.authz.roles import Identity


@dataclass(frozen=True, slots=True)
class StreamTerms:
    """How long a stream goes on: its reader is authenticated again after every `proved_again` seconds, and `stop`, set
    when the manager begins to stop, ends it."""

    proved_again: float
    stop: asyncio.Event = field(default_factory=asyncio.Event)


async def proved(
    lines: AsyncGenerator[bytes], prove: Callable[[], Awaitable[Identity]], terms: StreamTerms
) -> AsyncIterator[bytes]:
    """Yield the lines of a stream as long as its reader authenticates and the manager runs; a comment while nothing
    happens."""
    coming, stopping = asyncio.ensure_future(anext(lines)), asyncio.ensure_future(terms.stop.wait())
    due = time.monotonic() + terms.proved_again
    try:
        while True:
            left = max(0.0, due - time.monotonic())
            await asyncio.wait([coming, stopping], timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                return
            if time.monotonic() >= due:
                await prove()
                due = time.monotonic() + terms.proved_again
                yield b": still here\n\n"
            if coming.done():
                yield coming.result()
                coming = asyncio.ensure_future(anext(lines))
    except (StopAsyncIteration, TidegateError):
        return
    finally:
        for task in (coming, stopping):
            task.cancel()
        await asyncio.gather(coming, stopping, return_exceptions=True)
        await lines.aclose()
