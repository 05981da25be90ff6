"""Keep a store in line with the API server: list, watch, and list again when the watch cannot go on.

A list is the truth, with two exceptions. One that is older than what is known comes from a server that is behind: it is
read again, and only a server that stays behind has been restored to an older state. A document that a list lacks is
gone only when a GET says so too. Now and then everything is listed without a reason, since an event can be lost.

Whatever ends soon after it began, a list or a watch and for whatever reason, begins again after a growing, jittered
pause: a server that ends every watch at once is not asked in a loop.
"""

import asyncio
import logging
from math import inf

from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest
from istio_templates.names import key_of
from k8s_manager.kube.base_version import read_live
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, Expired, Forbidden, Unavailable
from k8s_manager.kube.resources import DOCUMENTS, ISTIO, OPTIONAL, Resource
from k8s_manager.kube.store import Store, number_of
from k8s_manager.runtime.backoff import Backoff, RestartPauses, jittered
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.metrics import WATCH_RESTARTS

log = logging.getLogger(__name__)
# A limit must not wait long for an API server that is back: that decides the longest pause.
BACKOFF = Backoff(0.2, 5.0)
HEALTHY = 10.0
"""For how many seconds a watch must have been followed, so that its end counts as an ordinary one."""
BEHIND_SECONDS = 15.0
"""For how long a list that is older than what is known is read again, before it is taken for the truth."""
RELIST_SECONDS = 600.0
"""About how often a kind is listed without a reason."""
GETS_AT_ONCE = 8


class Watcher:
    """Follows one kind for ever. `problem` says why it cannot, where it cannot."""

    def __init__(self, client: KubeClient, store: Store, resource: Resource, clock: Clock, selector: str = "") -> None:
        self._client, self._store, self._clock = client, store, clock
        self._resource, self._selector = resource, selector
        self._pauses = RestartPauses(BACKOFF, HEALTHY)
        self._version: str | None = None
        self._newest, self._relist_at = 0, 0.0
        self._behind_since: float | None = None
        self.problem: str | None = None

    async def run(self) -> None:
        """List and watch until cancelled; what fails or ends is begun again after a pause."""
        while True:
            failure: TidegateError | None = None
            try:
                if self._version is None:
                    self._version = await self._list()
                self._pauses.begin(self._clock.now())
                await self._watch()
                if self._clock.now() >= self._relist_at:
                    self._version = None
            except TidegateError as error:
                failure, self._version = error, None
                self._fail(error)
            if pause := self._pauses.end(self._clock.now(), failure):
                await self._clock.wait(asyncio.Event(), pause)

    async def _list(self) -> str:
        objects, version = await self._client.list(self._resource, self._selector)
        as_of = self._trusted(number_of(version))
        objects += await self._unlisted(objects, as_of)
        self._store.replace(self._resource.kind, objects, as_of)
        self._newest, self._behind_since = number_of(version), None
        self._relist_at = self._clock.now() + jittered(RELIST_SECONDS)
        self._note_sign_of_life()
        return version

    def _trusted(self, version: int) -> float:
        """Return up to which stored version a list of a version is the truth; raises `Unavailable` for a list that is
        to be read again, since its server may only be behind."""
        if version >= self._newest:
            return version
        kind, now = self._resource.plural, self._clock.now()
        if self._behind_since is None:
            self._behind_since = now
        if now - self._behind_since < BEHIND_SECONDS:
            said = f"the API server is behind, at version {version} where {self._newest} is known"
            raise Unavailable(f"list {kind}: {said}; it is listed again")
        log.warning("%s were restored to version %d from %d; what was known is forgotten", kind, version, self._newest)
        return inf

    async def _unlisted(self, objects: list[Manifest], as_of: float) -> list[Manifest]:
        """Return the documents that a list lacks and that are there all the same."""
        if self._resource.kind not in DOCUMENTS:
            return []
        places = asyncio.Semaphore(GETS_AT_ONCE)
        missing = self._store.unlisted(self._resource.kind, objects, as_of)
        found = await asyncio.gather(*(self._get(obj, places) for obj in missing))
        return [obj for obj in found if obj is not None]

    async def _get(self, obj: Manifest, places: asyncio.Semaphore) -> Manifest | None:
        async with places:
            return await read_live(self._client, key_of(obj))

    async def _watch(self) -> None:
        """Watch from the last version on, until the server ends it."""
        assert self._version is not None
        async for kind, obj in self._client.watch(self._resource, self._version, self._selector):
            self._note_sign_of_life()
            self._version = obj["metadata"]["resourceVersion"]
            self._newest = max(self._newest, number_of(self._version))
            if kind == "DELETED":
                self._store.drop(obj)
            elif kind != "BOOKMARK":
                self._store.put(obj)
        self._note_sign_of_life()

    def _fail(self, error: TidegateError) -> None:
        if isinstance(error, Expired):  # it is in order, and the next list mends it
            WATCH_RESTARTS.labels(self._resource.kind).inc()
            return
        kind, problem = self._resource.kind, str(error)
        if kind in OPTIONAL and isinstance(error, Absent | Forbidden):
            self._store.note_absent(kind)
            if isinstance(error, Absent):
                self._note_sign_of_life()
                return
            problem = f"{error}; without that right {OPTIONAL[kind]}: kubectl apply -k manifests/"
        if isinstance(error, Absent) and kind in ISTIO:
            problem = f"the cluster has no {self._resource.plural}; install Istio 1.30 or newer: it is looked for again"
            self._store.lack(kind)
        elif isinstance(error, Absent) and kind in DOCUMENTS:
            problem = f"the cluster has no {self._resource.plural}; install them: kubectl apply -k manifests/"
        if problem != self.problem:
            log.warning("cannot follow %s: %s", self._resource.plural, problem)
        self.problem = problem

    def _note_sign_of_life(self) -> None:
        self.problem = None
        self._store.last_seen[self._resource.kind] = self._clock.now()
