"""Deletions of documents in their history: who and when; and how long a deleted document's history stays.

The manager whose API deletes a document writes its author. The leader writes the deletions that came another way, and
of them knows only that the document is gone.
"""

import contextlib
import logging
from collections.abc import Iterable

from istio_templates import names
from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.history import revision
from k8s_manager.history.retention import expired
from k8s_manager.kube.base_version import read_live
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, WriteConflict
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import Clock
from k8s_manager.world.installation import SYSTEM

log = logging.getLogger(__name__)
CLEAN_UP_EVERY = 3600.0
RETRY_AFTER = 10.0
AT_ONCE = 200
"""Revisions that one pass deletes: it must not be in the way of changes."""
_REVISIONS = RESOURCES["ControllerRevision"]
PAGE = 50
"""Revisions that are read at once. They hold whole documents, and what was large once stays the process's memory."""
_UNKNOWN = revision.ChangeAuthor("an unknown client")


class DeletionRecords:
    """Writes deletions into histories, and deletes the histories that are not kept any more."""

    def __init__(self, client: KubeClient, leader: FencedClient, store: Store, clock: Clock) -> None:
        self._client, self._leader, self._store, self._clock = client, leader, store, clock
        self._open: dict[str, ObjectKey] = {}
        self._clean_up_at = 0.0

    def learn(self, found: Iterable[Manifest]) -> None:
        """Take what revisions there are for all that are there."""
        revisions = list(found)
        ended = {revision.uid_of(obj) for obj in revisions if revision.is_deletion(obj)}
        self._open = {}
        for obj in revisions:
            if (uid := revision.uid_of(obj)) and uid not in ended:
                self._open[uid] = _document_of(obj)
        self._clean_up_at = self._clock.now()

    def see(self, documents: Iterable[Manifest]) -> None:
        """Remember documents that are there, also those that go already: by the next pass they may be gone."""
        for document in documents:
            self._open.setdefault(document["metadata"]["uid"], names.key_of(document))

    async def record(self, document: Manifest, change: revision.ChangeAuthor) -> None:
        """Write that a document was deleted by a caller of the API; raises `TidegateError`."""
        metadata = document["metadata"]
        labels = metadata.get("labels") or {}
        await self._write(self._client, names.key_of(document), metadata["uid"], change, labels)

    async def record_missing(self) -> float | None:
        """Write the deletions of documents that are gone; return when to repeat that for what could not be."""
        due = None
        for uid, key in list(self._open.items()):
            if self._is_there(key, uid):
                continue
            try:
                if self._has_place(key):
                    if await self._is_live(key, uid):
                        continue
                    await self._write(self._leader, key, uid, None)
                del self._open[uid]
            except TidegateError as error:
                log.warning("the deletion of %s is not in its history yet: %s", key, error)
                due = self._clock.now() + RETRY_AFTER
        return due

    async def clean_up(self) -> float:
        """Delete the histories that are not kept any more, once in a while; return when that is due again."""
        if self._clock.now() < self._clean_up_at:
            return self._clean_up_at
        going = expired(await outlines(self._client), self._clock.utc())
        for obj in going[:AT_ONCE]:
            with contextlib.suppress(Absent):
                await self._leader.delete(
                    ObjectKey("ControllerRevision", obj["metadata"]["namespace"], obj["metadata"]["name"])
                )
        self._clean_up_at = self._clock.now() + (RETRY_AFTER if len(going) > AT_ONCE else CLEAN_UP_EVERY)
        return self._clean_up_at

    async def _write(
        self,
        client: KubeClient,
        key: ObjectKey,
        uid: str,
        change: revision.ChangeAuthor | None,
        labels: dict[str, str] | None = None,
    ) -> None:
        """Write a deletion after the last revision of a document; an author that is known counts for more."""
        place = key.namespace or SYSTEM
        listed, _ = await self._client.list(_REVISIONS, revision.selector(key), place)
        found = revision.ordered(listed, uid)
        if not found or (revision.is_deletion(found[0]) and change is None):
            return
        if not revision.is_deletion(found[0]):
            try:
                await client.create(revision.deletion(found[0], change or _UNKNOWN, labels))
                return
            except WriteConflict:  # another manager has just written it
                pass
        if change is not None:
            name = revision.deletion(found[-1], change)["metadata"]["name"]
            patch = {"metadata": {"annotations": revision.authored_by(change)}}
            await client.merge(ObjectKey("ControllerRevision", place, name), patch)

    def _is_there(self, key: ObjectKey, uid: str) -> bool:
        live = self._store.get(key)
        return live is not None and live["metadata"]["uid"] == uid

    def _has_place(self, key: ObjectKey) -> bool:
        """Tell whether the namespace of a document stays: its history goes with it."""
        if not key.namespace:
            return True
        live = self._store.get(ObjectKey("Namespace", "", key.namespace))
        return live is not None and "deletionTimestamp" not in live["metadata"]

    async def _is_live(self, key: ObjectKey, uid: str) -> bool:
        """Ask whether a document that the store lacks is there all the same."""
        live = await read_live(self._client, key)
        return live is not None and live["metadata"]["uid"] == uid


async def outlines(client: KubeClient) -> list[Manifest]:
    """Return all revisions of all documents, without what they hold of them."""
    return [
        revision.outline(obj)
        async for page, _ in client.pages(_REVISIONS, revision.of_everything(), size=PAGE)
        for obj in page
        if revision.is_sound(obj)
    ]


def _document_of(found: Manifest) -> ObjectKey:
    key = revision.document_of(found)
    known = RESOURCES.get(key.kind)
    return key if known is None or known.namespaced else key._replace(namespace="")
