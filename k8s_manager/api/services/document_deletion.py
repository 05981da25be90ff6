"""Deletions: what is in use stays, unless what depends on it goes too.

A deletion of several documents is recorded before the first goes; the leader finishes one that was not carried on.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict

from istio_templates import names
from istio_templates.documents import TenantSpec
from istio_templates.documents.versions.model_version import version_of
from istio_templates.errors import Conflict, NotFound, Problem, TidegateError, Transient
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.concurrency.preconditions import WHATEVER, etag, require
from k8s_manager.api.concurrency.write_locks import WriteLocks
from k8s_manager.api.services.admission_check import AdmissionCheck
from k8s_manager.api.services.deletion_remainder import remainder
from k8s_manager.api.services.document_bodies import namespace_of, routes_in
from k8s_manager.api.services.document_catalog import DocumentCatalog
from k8s_manager.api.services.document_writer import DocumentWriter
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.history.recorder import HistoryRecorder
from k8s_manager.history.revision import ChangeAuthor, mark
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, Refused, WriteConflict
from k8s_manager.kube.store import Store
from k8s_manager.preview.dry_run import DryRunner
from k8s_manager.runtime.change_recovery import ChangeRecovery
from k8s_manager.runtime.clock import Clock
from k8s_manager.world.change_records import CASCADE, CascadeRecord, cascade_of

ATTEMPTS = 8
HEADS = ("InferenceGateway", "Tenant")
"""Documents on which others depend."""
LEAVING = ("InferenceGateway", "Tenant", "Model")
"""Documents that stay until what was made of them is gone."""


class DocumentDeletion:
    """Deletes documents, or says what that would change.

    Where `explains_deletes`, a document is marked with who deletes it, for the commit that removes its manifests.
    """

    def __init__(
        self,
        client: KubeClient,
        store: Store,
        catalog: DocumentCatalog,
        check: AdmissionCheck,
        dry_run: DryRunner,
        writer: DocumentWriter,
        locks: WriteLocks,
        history: HistoryRecorder,
        clock: Clock,
        patience: float,
        explains_deletes: bool,
    ) -> None:
        self._client, self._store, self._catalog, self._check = client, store, catalog, check
        self._dry_run, self._writer, self._locks, self._history = dry_run, writer, locks, history
        self._explains_deletes = explains_deletes
        self._recovery = ChangeRecovery("deletions", self._records, self._finish, clock, patience)

    async def run(self, leads: bool) -> None:
        """Finish the deletions of managers that have died, until cancelled; only a leader does."""
        if leads:
            await self._store.synced.wait()
            await self._recovery.run()

    async def delete(self, key: ObjectKey, cascade: bool, write: WriteRequest) -> Manifest:
        """Delete a document; what others depend on only with `cascade`."""
        if write.dry_run:
            going = self._going(key, cascade, write.match)
            kept = await remainder(self._client, self._store, going)
            staying = {one.namespace for one in kept if one.namespace}
            told = await self._dry_run.report(await self._dry_run.preview_deletion(going), staying)
            return {**told, "documents": [str(gone) for gone in going], "kept": [one.said for one in kept]}
        async with self._locks.deleting():
            going = self._going(key, cascade, write.match)
            if write.planned is not None:
                await self._dry_run.require_unchanged(await self._dry_run.preview_deletion(going), write.planned)
            kept = await remainder(self._client, self._store, going)
            if len(going) == 1:
                await self._delete(key, write.match, write.change)
            else:
                await self._delete_recorded(going, write)
            return {"deleted": [str(gone) for gone in going], "kept": [one.said for one in kept]}

    def _going(self, key: ObjectKey, cascade: bool, match: str | None) -> list[ObjectKey]:
        """Return what is deleted with a document, itself last; raises `Conflict` where it is in use."""
        require(self._catalog.live(key), match or WHATEVER, key)
        dependents = self._dependents(key)
        if dependents and not cascade:
            listed = ", ".join(dependent.name for dependent in dependents)
            message = f"is in use by {dependents[0].kind} {listed}; delete them first, or say ?cascade=true"
            raise Conflict(str(key), [Problem("", message)])
        if key.kind == "Tenant":
            self._require_no_guests(key)
        if key.kind == "ModelVersion":
            self._require_not_served(key)
        below = (dependent for used in dependents for dependent in [*self._dependents(used), used])
        return list(dict.fromkeys([*below, key]))

    async def _delete_recorded(self, going: list[ObjectKey], write: WriteRequest) -> None:
        """Record a deletion of several documents, and carry it out; one that is refused is given up, one that fails for
        now stays recorded."""
        head, change = going[-1], write.change or ChangeAuthor("an unknown client")
        with self._recovery.under_way(head):
            async with self._given_up_where_refused(head):
                record = CascadeRecord(max(map(self._made_at, going)), **asdict(change))
                recorded = await self._writer.annotate(self._catalog.live(head), CASCADE, record.text())
                match = etag(recorded) if write.match not in (None, WHATEVER) else None
                await self._delete_all(going, match, write.change)

    @asynccontextmanager
    async def _given_up_where_refused(self, head: ObjectKey) -> AsyncIterator[None]:
        """Remove the record of a deletion that cannot be carried out; what fails for now stays recorded."""
        try:
            yield
        except Transient:
            raise
        except TidegateError:
            with suppress(NotFound):
                await self._writer.annotate(self._catalog.live(head), CASCADE, None)
            raise

    async def _delete_all(self, going: list[ObjectKey], match: str | None, change: ChangeAuthor | None) -> None:
        """Delete documents in order; of the last, the version that was recorded."""
        for key in going[:-1]:
            with suppress(Absent):  # another client was faster
                await self._delete(key, None, change)
        await self._delete(going[-1], match, change)

    def _records(self) -> dict[ObjectKey, CascadeRecord]:
        """Return the deletions that are recorded and not under way at the API server; none while documents are not
        known."""
        heads = [] if self._catalog.unready() else [obj for kind in HEADS for obj in self._catalog.many(kind)]
        staying = [obj for obj in heads if "deletionTimestamp" not in obj["metadata"]]
        return {names.key_of(obj): record for obj in staying if (record := cascade_of(obj))}

    async def _finish(self, key: ObjectKey, record: CascadeRecord) -> None:
        """Do what is left of a deletion; raises `Conflict` where documents were made since, or it is not possible."""
        async with self._locks.deleting(), self._given_up_where_refused(key):
            going = self._going(key, True, None)
            if later := [str(gone) for gone in going if self._made_at(gone) > record.newest]:
                raise Conflict(str(key), [Problem("", f"{', '.join(later)} came later; delete {key} again")])
            await self._delete_all(going, None, ChangeAuthor(record.by, record.reason, record.ticket))

    def _made_at(self, key: ObjectKey) -> str:
        return str(self._catalog.live(key)["metadata"].get("creationTimestamp", ""))

    async def _delete(self, key: ObjectKey, match: str | None, change: ChangeAuthor | None) -> None:
        """Delete a document that is still the one that the caller has read, whatever this manager's store knows yet."""
        for _ in range(ATTEMPTS):
            live = await self._client.get(key)
            require(live, match or WHATEVER, key)
            try:
                live = await self._marked_with_author(key, live, change)
                version = live["metadata"]["resourceVersion"] if match else None
                await self._client.delete(key, live["metadata"]["uid"], version)
                self._history.deleted(live, change)
                return
            except WriteConflict:  # a status was written meanwhile, or the document
                continue
        raise Conflict(str(key), [Problem("", "changes all the time; try again")])

    async def _marked_with_author(self, key: ObjectKey, live: Manifest, change: ChangeAuthor | None) -> Manifest:
        """Mark a document with who deletes it and why, for the commit that removes its manifests."""
        if not self._explains_deletes or change is None or key.kind not in LEAVING:
            return live
        metadata = {"annotations": mark(change, live), "resourceVersion": live["metadata"]["resourceVersion"]}
        try:
            return await self._client.merge(key, {"metadata": metadata})
        except Refused:  # it was written under another schema; it may go all the same
            return live

    def _require_no_guests(self, key: ObjectKey) -> None:
        """Make sure that no other tenant serves paths of a tenant that goes; raises `Conflict`."""
        tenant = next((s for s in self._check.claims().tenants if s.key == key), None)
        spec = tenant.document.spec if tenant and tenant.document else None
        if not isinstance(spec, TenantSpec):
            return
        guests = {way.tenant for host in spec.hosts for way in host.delegations}
        using = sorted(guest for guest in guests if self._serves_there(guest, spec))
        if using:
            said = f"delegates paths to {', '.join(using)}, which serve them; end the delegations first"
            raise Conflict(str(key), [Problem("spec.hosts", said)])

    def _require_not_served(self, key: ObjectKey) -> None:
        """Make sure that a registered version gets no requests, now or by its model's document; raises `Conflict`."""
        live = self._catalog.live(key)
        model = str(live["spec"].get("model"))
        version = version_of(key.name, model)
        found = self._catalog.here(ObjectKey("Model", key.namespace, model))
        if found is None:
            return
        shares = [
            share.get("weight") for share in found["spec"].get("traffic") or () if share.get("version") == version
        ]
        if any(shares) or (live.get("status") or {}).get("weight"):
            said = f"serves requests of model {model}; move its traffic to another version first"
            raise Conflict(str(key), [Problem("", said)])

    def _serves_there(self, guest: str, owner: TenantSpec) -> bool:
        found = self._store.get(ObjectKey("Tenant", "", guest))
        models = self._catalog.many("Model", namespace_of(found)) if found else []
        staying = [model for model in models if "deletionTimestamp" not in model["metadata"]]
        return any(
            names.covers(claim.name, route.get("host", "")) for claim in owner.hosts for _, route in routes_in(staying)
        )

    def _dependents(self, key: ObjectKey) -> list[ObjectKey]:
        if key.kind == "InferenceGateway":
            world = self._check.claims()
            tenants = [s for s in world.tenants if s.document and isinstance(s.document.spec, TenantSpec)]
            return [s.key for s in tenants if key.name in world.bindings[s.key.name].gateways]
        if key.kind == "Tenant":
            return [s.key for s in self._check.claims().models if self._catalog.tenant_of(s.key.namespace) == key.name]
        return []
