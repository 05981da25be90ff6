"""Deletions need more than absence from a list: the documents have to be as the plan knows them.

A list of a server that is behind lacks new documents, and shows old versions of others. What they do not render would
be deleted although it serves requests. So the documents of an object are read before it is deleted; such a read is
answered by a quorum of etcd.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator

from istio_templates import names
from istio_templates.errors import Transient
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.base_version import read_live
from k8s_manager.kube.client import KubeClient
from k8s_manager.world.owner import owner_of
from k8s_manager.world.world import Stored


class DeletionGuard:
    """Reads each document at most once, however many of its objects are deleted; `learn` takes what was not known."""

    def __init__(self, client: KubeClient, documents: Iterable[Stored], learn: Callable[[Manifest], None]) -> None:
        self._client, self._learn = client, learn
        self._known = {stored.key: stored for stored in documents}
        self._reads: dict[ObjectKey, asyncio.Future[Manifest | None]] = {}

    async def require_current(self, obj: Manifest) -> None:
        """Raise `Transient` where a document of an object is another than the plan was made from, or cannot be read."""
        for key in _documents_of(obj):
            live = await self._read(key)
            if live is not None and not _is_known(live, self._known.get(key)):
                self._learn(live)
                said = f"{key} is another than it was when this was decided"
                raise Transient(f"{names.key_of(obj)} is not deleted: {said}; it is decided again")

    async def _read(self, key: ObjectKey) -> Manifest | None:
        if key not in self._reads:
            self._reads[key] = asyncio.ensure_future(read_live(self._client, key))
        return await self._reads[key]


def _documents_of(obj: Manifest) -> Iterator[ObjectKey]:
    gateway, tenant, model = owner_of(obj["metadata"].get("labels") or {})
    if gateway:
        yield ObjectKey("InferenceGateway", "", gateway)
    if tenant:
        yield ObjectKey("Tenant", "", tenant)
    if model:
        yield ObjectKey("Model", obj["metadata"].get("namespace", ""), model)


def _is_known(live: Manifest, known: Stored | None) -> bool:
    metadata = live["metadata"]
    return known is not None and (known.uid, known.generation) == (metadata["uid"], metadata.get("generation", 0))
