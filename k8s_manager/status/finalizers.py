"""Finalizers of documents: added before anything is rendered from a document, removed when nothing of it is left."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping

from istio_templates.documents.parse import API_VERSION
from istio_templates.errors import TidegateError
from istio_templates.facts import LimitKey, Manifest, ObjectKey
from k8s_manager.kube.errors import Absent, WriteConflict
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.model_plan import identity_of
from k8s_manager.pipeline.ordering import may_go, owners_of
from k8s_manager.pipeline.plan import Plan
from k8s_manager.world.world import FINALIZER, Stored, World

log = logging.getLogger(__name__)
FIELD_MANAGER = "tidegate-finalizer"
_NOTHING_RENDERED = ("LimitOverride", "WarmupPlan", "AccessGrant")


class Finalizers:
    """Adds and removes the manager's finalizer as documents come and go."""

    def __init__(self, client: FencedClient, store: Store, in_flight: int) -> None:
        self._client, self._store = client, store
        self._slots = asyncio.Semaphore(in_flight)

    async def add(self, world: World) -> None:
        """Add the finalizer to every document that is not being deleted, before anything is rendered from it."""
        rendered = (stored for stored in world.documents() if stored.key.kind not in _NOTHING_RENDERED)
        missing = [stored for stored in rendered if not stored.finalizer and not stored.deleting]
        await asyncio.gather(*(self._add(stored) for stored in missing))

    async def remove(
        self, plan: Plan, owned: Mapping[ObjectKey, Manifest], limited: frozenset[tuple[str, LimitKey]]
    ) -> None:
        """Remove the finalizer from documents of which nothing is left, limits included."""
        if not plan.terminating:
            return
        owners = owners_of(owned)
        for terminating in plan.terminating:
            if may_go(terminating, identity_of(terminating.stored), plan, owners, limited):
                await self._remove(terminating.stored)

    async def _add(self, stored: Stored) -> None:
        metadata: Manifest = {"name": stored.key.name, "uid": stored.uid, "finalizers": [FINALIZER]}
        if stored.key.namespace:
            metadata["namespace"] = stored.key.namespace
        obj = {"apiVersion": API_VERSION, "kind": stored.key.kind, "metadata": metadata}
        await self._write(stored, self._client.apply(obj, force=True, manager=FIELD_MANAGER))

    async def _remove(self, stored: Stored) -> None:
        """Remove the finalizer also where another field manager added it: a restored document carries it so."""
        live = self._store.get(stored.key)
        if live is None:
            return
        left = [name for name in live["metadata"].get("finalizers", []) if name != FINALIZER]
        metadata = {"finalizers": left, "uid": stored.uid, "resourceVersion": live["metadata"]["resourceVersion"]}
        await self._write(stored, self._client.merge(stored.key, {"metadata": metadata}))

    async def _write(self, stored: Stored, call: Awaitable[Manifest]) -> None:
        async with self._slots:
            try:
                answer = await call
                if FINALIZER in answer["metadata"].get("finalizers", []):
                    self._store.put(answer)
            except (Absent, WriteConflict):
                return
            except TidegateError as error:
                log.warning("finalizer of %s was not written: %s", stored.key, error)
