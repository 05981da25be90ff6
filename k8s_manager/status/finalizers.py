"""Finalizers of documents: added before anything is rendered from a document, removed when nothing of it is left."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial

from istio_templates.documents.parse import API_VERSION
from istio_templates.facts import LimitKey, Manifest, ObjectKey
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.model_plan import identity_of
from k8s_manager.pipeline.plan import Plan
from k8s_manager.pipeline.write_order import may_go, owners_of
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.world.world import FINALIZER, Stored, World

AT_ONCE = 16
FIELD_MANAGER = "tidegate-finalizer"
_NOTHING_RENDERED = ("LimitOverride", "WarmupPlan", "AccessGrant", "ModelVersion", "Caller")


class Finalizers:
    """Adds and removes the manager's finalizer as documents come and go."""

    def __init__(self, client: FencedClient, store: Store, effects: Effects) -> None:
        self._client, self._store = client, store
        self._lane = effects.lane("finalizer", AT_ONCE)

    async def add(self, world: World) -> None:
        """Add the finalizer to every document that is not being deleted, before anything is rendered from it."""
        rendered = (stored for stored in world.documents() if stored.key.kind not in _NOTHING_RENDERED)
        missing = [stored for stored in rendered if not stored.finalizer and not stored.deleting]
        await self._run(self._add, missing)

    async def remove(
        self, plan: Plan, owned: Mapping[ObjectKey, Manifest], limited: frozenset[tuple[str, LimitKey]]
    ) -> None:
        """Remove the finalizer from documents of which nothing is left, limits included."""
        if not plan.terminating:
            return
        owners = owners_of(owned)
        documents = ((found, identity_of(found.stored)) for found in plan.terminating)
        going = [found.stored for found, identity in documents if may_go(found, identity, plan, owners, limited)]
        await self._run(self._remove, going)

    async def _run(self, change: Callable[[Stored], Awaitable[None]], documents: list[Stored]) -> None:
        effects = {stored.key: partial(change, stored) for stored in documents}
        await self._lane.run(effects, group=lambda key: key.namespace or key.name)

    async def _add(self, stored: Stored) -> None:
        metadata: Manifest = {"name": stored.key.name, "uid": stored.uid, "finalizers": [FINALIZER]}
        if stored.key.namespace:
            metadata["namespace"] = stored.key.namespace
        obj = {"apiVersion": API_VERSION, "kind": stored.key.kind, "metadata": metadata}
        with suppress(Absent):
            self._store.put(await self._client.apply(obj, force=True, manager=FIELD_MANAGER))

    async def _remove(self, stored: Stored) -> None:
        """Remove the finalizer also where another field manager added it: a restored document carries it so."""
        live = self._store.get(stored.key)
        if live is None:
            return
        left = [name for name in live["metadata"].get("finalizers", []) if name != FINALIZER]
        metadata = {"finalizers": left, "uid": stored.uid, "resourceVersion": live["metadata"]["resourceVersion"]}
        with suppress(Absent):
            answer = await self._client.merge(stored.key, {"metadata": metadata})
            if FINALIZER in answer["metadata"].get("finalizers", []):
                self._store.put(answer)
