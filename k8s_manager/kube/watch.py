"""Keep a store in line with the API server: list, watch, and list again when the watch cannot go on."""

import asyncio
import logging
import random

from istio_templates.errors import TidegateError
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, Expired
from k8s_manager.kube.resources import DOCUMENTS, ISTIO, Resource
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.metrics import WATCH_RESTARTS

log = logging.getLogger(__name__)
# A limit must not wait long for an API server that is back: that decides the longest pause.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0


class Watcher:
    """Follows one kind for ever. `problem` says why it cannot, where it cannot."""

    def __init__(self, client: KubeClient, store: Store, resource: Resource, clock: Clock, selector: str = "") -> None:
        self._client, self._store, self._clock = client, store, clock
        self._resource, self._selector = resource, selector
        self.problem: str | None = None

    async def run(self) -> None:
        """List and watch until cancelled; failures are tried again after growing, jittered pauses."""
        pause = FIRST_PAUSE
        while True:
            try:
                version = await self._list()
                pause = FIRST_PAUSE
                while True:
                    version = await self._watch(version)
            except Expired:
                WATCH_RESTARTS.labels(self._resource.kind).inc()
            except TidegateError as error:
                self._fail(error)
                await self._sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _list(self) -> str:
        objects, version = await self._client.list(self._resource, self._selector)
        self._store.replace(self._resource.kind, objects)
        self._hear()
        return version

    async def _watch(self, version: str) -> str:
        async for kind, obj in self._client.watch(self._resource, version, self._selector):
            self._hear()
            version = obj["metadata"]["resourceVersion"]
            if kind == "DELETED":
                self._store.drop(obj)
            elif kind != "BOOKMARK":
                self._store.put(obj)
        self._hear()
        return version

    def _fail(self, error: TidegateError) -> None:
        kind, problem = self._resource.kind, str(error)
        if isinstance(error, Absent) and kind in ISTIO:
            problem = f"the cluster has no {self._resource.plural}; install Istio 1.30 or newer: it is looked for again"
            self._store.lack(kind)
        elif isinstance(error, Absent) and kind in DOCUMENTS:
            problem = f"the cluster has no {self._resource.plural}; install them: kubectl apply -k manifests/"
        if problem != self.problem:
            log.warning("cannot follow %s: %s", self._resource.plural, problem)
        self.problem = problem

    def _hear(self) -> None:
        self.problem = None
        self._store.heard[self._resource.kind] = self._clock.now()

    async def _sleep(self, seconds: float) -> None:
        await self._clock.wait(asyncio.Event(), seconds)
