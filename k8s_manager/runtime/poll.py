"""Repeated reads of gateway pods: what the loops that only read have in common."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import aiohttp

from istio_templates.facts import GatewayPool
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)


class Pools(Protocol):
    """What is asked of the limit loop."""

    @property
    def pools(self) -> Mapping[str, GatewayPool]:
        """Return all gateways, by name."""


async def poll_forever(
    what: str, once: Callable[[aiohttp.ClientSession], Awaitable[None]], pause: float, clock: Clock
) -> None:
    """Read once, and after each pause of so many seconds once more, until cancelled; an error ends no reading."""
    never = asyncio.Event()
    async with aiohttp.ClientSession(trust_env=False) as session:
        while True:
            try:
                await once(session)
            except Exception:
                log.exception("%s were not read; it is tried again", what)
            await clock.wait(never, pause)
