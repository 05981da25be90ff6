"""Finalizers of documents: added before anything is rendered from a document, removed when nothing of it is left."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping

from istio_templates.documents.parse import API_VERSION
from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, WriteConflict
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.plan import Plan, Terminating, identity_of
from k8s_manager.world.owner import Owner, owner_of
from k8s_manager.world.world import FINALIZER, Stored, World

log = logging.getLogger(__name__)
FIELD_MANAGER = "tidegate-finalizer"
_NOTHING_RENDERED = ("LimitOverride", "WarmupPlan", "AccessGrant")


class Finalizers:
    """Adds and removes the manager's finalizer as documents come and go."""

    def __init__(self, client: KubeClient, store: Store, in_flight: int) -> None:
        self._client, self._store = client, store
        self._slots = asyncio.Semaphore(in_flight)

    async def add(self, world: World) -> None:
        """Add the finalizer to every document that is not being deleted, before anything is rendered from it."""
        rendered = (stored for stored in world.documents() if stored.key.kind not in _NOTHING_RENDERED)
        missing = [stored for stored in rendered if not stored.finalizer and not stored.deleting]
        await asyncio.gather(*(self._add(stored) for stored in missing))

    async def remove(
        self, plan: Plan, owned: Mapping[ObjectKey, Manifest], limited: frozenset[tuple[str, str]]
    ) -> None:
        """Remove the finalizer from documents of which nothing is left, limits included."""
        if not plan.leaving:
            return
        owners = {
            owner_of(obj["metadata"]["labels"]) for obj in owned.values() if "deletionTimestamp" not in obj["metadata"]
        }
        for terminating in plan.leaving:
            if terminating.stored.finalizer and _is_gone(terminating, plan, owners, limited):
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


def _is_gone(terminating: Terminating, plan: Plan, owners: set[Owner], limited: frozenset[tuple[str, str]]) -> bool:
    """Tell whether nothing is left of a document that is being deleted: no object, no limit in a slot."""
    if terminating.waits is not None or terminating.owner in owners:
        return False
    stored, identity = terminating.stored, identity_of(terminating.stored)
    in_a_slot = (
        stored.key.kind == "Model"
        and identity not in plan.limits
        and any((pool, identity) in limited for pool in plan.pools)
    )
    return not in_a_slot
