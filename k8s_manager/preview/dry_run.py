"""What a write would do, told before it is made; and whether it would still do that."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from istio_templates.documents import Document, ModelSpec
from istio_templates.errors import Outdated, TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.repair import live_of, resolve_drift
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.merge_patch import merged_patch
from k8s_manager.kube.resources import ISTIO
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.diff import DIGEST
from k8s_manager.preview.preview import (
    ObjectChange,
    Preview,
    Revised,
    Warm,
    fingerprint,
    preview,
    preview_without,
    told,
)
from k8s_manager.traffic.resolver import TrafficResolver
from k8s_manager.world.world import Stored, World

AT_ONCE = 4
_BOOKKEEPING = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
_NO_UID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Planned:
    """A preview of a change to `subject`, and the warm replicas of each of its documents."""

    subject: str
    preview: Preview
    warm: tuple[Warm, ...]


class Planning:
    """Makes plans; nothing here writes."""

    def __init__(self, client: KubeClient, store: Store, gatherer: WorldReader, traffic: TrafficResolver) -> None:
        self._client, self._store, self._gatherer, self._traffic = client, store, gatherer, traffic

    async def of(self, *writes: tuple[Document, Manifest]) -> Planned:
        """Return what writing documents, each with the body that it came in, would do now."""
        world = self._traffic.resolve(self._gatherer.world(), datetime.now(UTC))
        ungated = world.ungated.union(*(self._gatherer.pods.ungated(document) for document, _ in writes))
        proposed = [_stored(document, body, self._live(document)) for document, body in writes]
        made = partial(preview, replace(world, ungated=ungated), proposed, dict(self._store.owned))
        # Several may take a second, which limits and the Lease do not have.
        found = await self._seen(made() if len(writes) == 1 else await asyncio.to_thread(made))
        subject = ", ".join(str(document) for document, _ in writes)
        return Planned(subject, found, tuple(map(self._warm, found.documents)))

    def without(self, going: Sequence[ObjectKey]) -> Planned:
        """Return what deleting documents would do now; the last is the one that somebody asked for."""
        world = self._traffic.resolve(self._gatherer.world(), datetime.now(UTC))
        before = _document(world, going[-1])
        found = preview_without(world, going, before, self._store.owned)
        return Planned(str(going[-1]), found, tuple(map(self._warm, found.documents)))

    def require(self, planned: Planned, wanted: str) -> None:
        """Make sure that a write would do what was planned; raises `Outdated`."""
        if fingerprint(planned.preview) != wanted:
            raise Outdated(
                f"{planned.subject}: what it was planned on has changed; plan it again and look what is different"
            )

    async def told(self, planned: Planned) -> Manifest:
        """Return a plan for people and programs, with what the API server says of each object."""
        places = asyncio.Semaphore(AT_ONCE)

        async def tried(change: ObjectChange) -> tuple[ObjectChange, str]:
            async with places:
                return await self._tried(change, planned.preview)

        found = await asyncio.gather(*map(tried, planned.preview.changes))
        changes = [change for change, _ in found]
        # Thousands of diffs take seconds, which limits and the Lease do not have.
        out = await asyncio.to_thread(told, planned.preview, changes, planned.warm)
        for line, (_, server) in zip(out["changes"], found, strict=True):
            line["server"] = server
        return out

    async def _seen(self, found: Preview) -> Preview:
        """Return a preview with the objects that are taken over as they are now."""
        keys = [key for key in found.taken_over() if key not in self._store.owned]
        places = asyncio.Semaphore(AT_ONCE)

        async def one(key: ObjectKey) -> Manifest | None:
            async with places:
                return await live_of(self._client, key)

        seen = await asyncio.gather(*map(one, keys))
        foreign = {key: live for key, live in zip(keys, seen, strict=True) if live is not None}
        return replace(found, foreign=foreign)

    async def _tried(self, change: ObjectChange, found: Preview) -> tuple[ObjectChange, str]:
        """Return a change between the live object and what the API server would make of it, and what it says of it."""
        key, after = change.key, change.after
        if after is None or change.wanted is None:
            return change, "not asked: it is deleted"
        if key.namespace and not self._store.get(ObjectKey("Namespace", "", key.namespace)):
            return change, "not asked: its namespace is not there yet"
        try:
            live, first, surplus = await live_of(self._client, key), key not in self._store.owned, {}
            if live is not None:
                settled = resolve_drift(live, change.wanted, found.policy(after), first, drifted=False)
                after, surplus = settled.obj, settled.surplus
            # As it would be written: never by force over what somebody else has there.
            answer = await self._client.apply(after, force=not first, dry_run=True)
        except TidegateError as error:
            return change, f"refused: {error}"
        if live is None:
            return change, "accepted"
        then = merged_patch(answer, surplus) if key.kind in ISTIO else answer
        return ObjectChange(key, _bare(live), _bare(then), change.wanted, key in found.foreign), "accepted"

    def _live(self, document: Document) -> Manifest | None:
        return self._store.get(document.key)

    def _warm(self, revised: Revised) -> Warm:
        return Warm(self._ready(revised.live), self._ready(revised.proposed))

    def _ready(self, stored: Stored | None) -> Mapping[str, int]:
        document = stored.document if stored else None
        if document is None or not isinstance(document.spec, ModelSpec):
            return {}
        return self._gatherer.pods.ready(document.namespace or "", document.name, document.spec)


def _document(world: World, key: ObjectKey) -> Stored | None:
    return next((stored for stored in world.documents() if stored.key == key), None)


def _bare(live: Manifest) -> Manifest:
    """Return a live object without what nobody but the API server, and the manager for itself, writes."""
    metadata = {name: value for name, value in live["metadata"].items() if name not in _BOOKKEEPING}
    annotations = {name: text for name, text in metadata.pop("annotations", {}).items() if name != DIGEST}
    metadata |= {"annotations": annotations} if annotations else {}
    return {name: value for name, value in live.items() if name != "status"} | {"metadata": metadata}


def _stored(document: Document, body: Manifest, live: Manifest | None) -> Stored:
    metadata = live["metadata"] if live else {}
    given = (body.get("metadata") or {}).get("labels")
    return Stored(
        key=document.key,
        uid=metadata.get("uid", _NO_UID),
        generation=metadata.get("generation", 0) + 1,
        created=metadata.get("creationTimestamp", "9999"),
        deleting=False,
        finalizer=True,
        document=document,
        problems=(),
        labels=given or metadata.get("labels") or {},
    )
