"""The manager: everything that runs, in one list."""

import asyncio
import gc
import logging
import secrets
import signal
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k8s_manager.api.app import build
from k8s_manager.api.backend import Backend
from k8s_manager.api.server import serve
from k8s_manager.apply import ClusterTarget
from k8s_manager.bookkeeping import Bookkeeper
from k8s_manager.clock import Clock, SystemClock
from k8s_manager.events import Events
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.config import connect
from k8s_manager.kube.resources import RESOURCES, selector_of
from k8s_manager.kube.store import Store
from k8s_manager.kube.watch import Watcher
from k8s_manager.limits import LimitLoop
from k8s_manager.reconcile import KINDS, MainLoop
from k8s_manager.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Manager:
    """The parts of one manager, put together and not yet running."""

    store: Store
    loop: MainLoop
    limits: LimitLoop
    watchers: list[Watcher]
    backend: Backend

    def parts(self) -> list[Awaitable[None]]:
        """Return everything that runs, but the REST API."""
        return [*(watcher.run() for watcher in self.watchers), self.loop.run(), self.limits.run()]


def assemble(client: KubeClient, clock: Clock, settings: Settings) -> Manager:
    """Put a manager together."""
    events, store = Events(clock), Store(KINDS, clock)
    limits = LimitLoop(client, store, clock, settings, events)
    books = Bookkeeper(client, store, clock, events, settings.in_flight)
    loop = MainLoop(store, ClusterTarget(client, store, clock, settings.in_flight), books, limits, clock, settings)
    watchers = [Watcher(client, store, RESOURCES[kind], clock, selector_of(kind)) for kind in KINDS]
    return Manager(store, loop, limits, watchers, Backend(client, store, loop, limits, events, watchers))


async def run(settings: Settings) -> None:
    """Run the manager until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await connect(settings.kubeconfig) as client:
        manager = assemble(client, SystemClock(), settings)
        api = serve(build(manager.backend, token(settings.token_file)), settings.listen, stop)
        await until(stop, *manager.parts(), _settle(manager.store), api)
    log.info("stopped")


def token(file: Path | None) -> str:
    """Return the bearer token in a file; without a file, one that lives as long as this process."""
    if file is None:
        made = secrets.token_urlsafe(32)
        log.warning("no --token-file: the REST API takes only the token %s until this process ends", made)
        return made
    return file.read_text().strip()


async def _settle(store: Store) -> None:
    """Once everything is read, keep the garbage collector away from it: a full collection would stop the loop."""
    await store.synced.wait()
    gc.collect()
    gc.freeze()


async def until(stop: asyncio.Event, *parts: Awaitable[None]) -> None:
    """Run all parts until `stop`, or until one of them fails."""
    tasks: list[asyncio.Future[None]] = [asyncio.ensure_future(part) for part in parts]
    waiter: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    try:
        while not waiter.done():
            await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in tasks if task.done()]:
                task.result()
                tasks.remove(task)
    finally:
        for future in (waiter, *tasks):
            future.cancel()
        await asyncio.gather(waiter, *tasks, return_exceptions=True)
