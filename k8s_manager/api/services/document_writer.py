"""Writes of whole documents and patches: admitted, one at a time for each document, and marked with their author."""

import asyncio
from contextlib import AbstractContextManager
from dataclasses import replace

from istio_templates import names
from istio_templates.documents import Document, ModelSpec, ModelVersionSpec, parse
from istio_templates.documents.parse import API_VERSION
from istio_templates.errors import Conflict, Outdated, Problem, Waiting
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.concurrency.preconditions import WHATEVER, etag, require
from k8s_manager.api.concurrency.write_locks import WriteLocks
from k8s_manager.api.registry.pin_rules import pin_problems
from k8s_manager.api.services.admission_check import AdmissionCheck
from k8s_manager.api.services.document_bodies import completed, edited, generation, marked, shown, user_metadata
from k8s_manager.api.services.document_catalog import DocumentCatalog
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.history.recorder import HistoryRecorder
from k8s_manager.kube.base_version import pinned, write_over
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import WriteConflict
from k8s_manager.kube.merge_patch import merged_patch
from k8s_manager.kube.own_namespace import ensure_namespace
from k8s_manager.kube.resources import DOCUMENTS
from k8s_manager.kube.store import Store
from k8s_manager.preview.dry_run import DryRunner
from k8s_manager.release.release_status import lost_rollout
from k8s_manager.world.installation import SYSTEM

NAMESPACE_SECONDS = 10.0
ATTEMPTS = 8


class DocumentWriter:
    """Writes documents, or says what writing them would change."""

    def __init__(
        self,
        client: KubeClient,
        store: Store,
        catalog: DocumentCatalog,
        check: AdmissionCheck,
        dry_run: DryRunner,
        locks: WriteLocks,
        history: HistoryRecorder,
    ) -> None:
        self._client, self._store, self._catalog, self._check = client, store, catalog, check
        self._dry_run, self._locks, self._history = dry_run, locks, history

    async def put(
        self,
        key: ObjectKey,
        body: Manifest,
        write: WriteRequest,
        made_from: Manifest | None = None,
    ) -> tuple[Manifest, bool]:
        """Write a whole document; return it (or, with a dry run, what would change) and whether it is new. One that was
        `made_from` another is not written where that has been edited meanwhile."""
        await self._namespaced(key)
        document = await self._check.read(key, body)
        if not write.approves:
            self._require_own_pin(document, write.caller)
        if write.dry_run:
            live = self._writable(document, made_from)
            if write.match is not None:
                require(live, write.match, key)
            return await self._dry_run.report(await self._dry_run.preview_writes((document, body))), live is None
        async with self._locks.writing(key):
            live = self._writable(document, made_from)
            require(live, write.match, key)
            self._locks.reserve(document)  # before the next await: no other write gets what it claims
            if write.planned is not None:
                planned = await self._dry_run.preview_writes((document, body))
                await self._dry_run.require_unchanged(planned, write.planned)
            await ensure_namespace(self._client, self._store, key.namespace)
            return shown(await self._write(document, marked(body, live, write.change), live, write.match)), live is None

    async def patch(self, key: ObjectKey, patch: Manifest, write: WriteRequest) -> Manifest:
        """Merge a patch (RFC 7396) into a document."""
        live = self._catalog.live(key)
        merged = merged_patch({"spec": live["spec"]}, {"spec": patch.get("spec", {})})
        extra = {name: value for name, value in patch.items() if name != "spec"}
        answer, _ = await self.put(key, {**extra, **merged}, replace(write, match=write.match or WHATEVER), live)
        return answer

    async def annotate(self, live: Manifest, name: str, text: str | None) -> Manifest:
        """Set or remove an annotation of a document that has not been edited since it was read; no revision is made of
        that."""

        async def write(base: Manifest) -> Manifest:
            return await self._client.merge(
                names.key_of(base), pinned({"metadata": {"annotations": {name: text}}}, base)
            )

        answer = await write_over(self._client, live, write, lambda one, other: etag(one) == etag(other))
        self._store.put(answer)
        return answer

    def _require_own_pin(self, document: Document, by: str) -> None:
        """Make sure that a caller pins in its own name, where pins need approvals; raises `Conflict`."""
        spec = document.spec
        if not isinstance(spec, ModelVersionSpec) or not self._catalog.pin_approvers(document.key.namespace):
            return
        if found := list(pin_problems(spec, self._store.get(document.key), by)):
            raise Conflict(str(document), found)

    def promised(self, key: ObjectKey, body: Manifest) -> AbstractContextManager[None]:
        """Keep for a document what it is going to hold, until the block ends."""
        return self._locks.promised(parse(completed(key, body)))

    def _writable(self, document: Document, made_from: Manifest | None) -> Manifest | None:
        """Return what is there now, if a document may be written over it."""
        self._check.require_admitted(document)
        key, live = document.key, self._store.get(document.key)
        _require_rollout(document, live)
        if made_from and (live is None or edited(live) != edited(made_from)):
            raise Outdated(f"{key} has been changed meanwhile; repeat the change")
        if live and "deletionTimestamp" in live["metadata"]:
            raise Conflict(str(key), [Problem("", "is being deleted; wait until it is gone, then create it again")])
        return live

    async def _write(self, document: Document, body: Manifest, live: Manifest | None, match: str | None) -> Manifest:
        spec = body.get("spec", {})
        if live is None:
            metadata = {"name": document.name, **user_metadata(body)}
            if document.namespace:
                metadata["namespace"] = document.namespace
            obj = {"apiVersion": API_VERSION, "kind": document.kind, "metadata": metadata, "spec": spec}
            answer = await self._client.create(obj)
        else:
            metadata = {**live["metadata"], **user_metadata(body)}
            try:
                answer = await self._replace(live, {**live, "metadata": metadata, "spec": spec})
            except Conflict as error:
                if match in (None, WHATEVER):
                    raise
                raise Outdated(f"{document} has just been changed by another writer; read it again") from error
        if answer["kind"] in DOCUMENTS and (live is None or generation(answer) != generation(live)):
            # The store forgets who wrote what.
            self._history.soon({**answer, "metadata": {**answer["metadata"]}})
        self._store.put(answer)
        return answer

    async def _replace(self, live: Manifest, wanted: Manifest) -> Manifest:
        """Replace a document; the manager's own writes of its status meanwhile are no change of it."""
        for _ in range(ATTEMPTS):
            try:
                return await self._client.replace(wanted)
            except WriteConflict as error:
                conflict = error
            newer = await self._client.get(names.key_of(live))
            if edited(newer) != edited(live):
                break
            wanted = {**newer, "metadata": {**newer["metadata"], **user_metadata(wanted)}, "spec": wanted["spec"]}
        said = [Problem("", "has just been changed by another writer; try again")]
        raise Conflict(str(names.key_of(live)), said) from conflict

    async def _namespaced(self, key: ObjectKey) -> None:
        """Wait for the namespace of a tenant that is very new."""
        if key.namespace == SYSTEM:
            return
        deadline = asyncio.get_running_loop().time() + NAMESPACE_SECONDS
        while key.namespace and self._store.get(ObjectKey("Namespace", "", key.namespace)) is None:
            if asyncio.get_running_loop().time() > deadline:
                message = f"namespace {key.namespace} is not there yet; look at the tenant's conditions"
                raise Waiting(message, 2)
            await asyncio.sleep(0.05)


def _require_rollout(document: Document, live: Manifest | None) -> None:
    """Make sure that no release is under way, or has failed, that a document without a rollout would complete at once;
    raises `Conflict`."""
    status = (live or {}).get("status") or {}
    if isinstance(document.spec, ModelSpec) and (said := lost_rollout(document.spec, status)):
        raise Conflict(str(document), [Problem("spec.rollout", said)])
