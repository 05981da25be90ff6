"""Whether a document may be written: by the same rules as in a pass, and with what other writes are about to hold."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from istio_templates import names
from istio_templates.documents import Document, parse
from istio_templates.errors import Conflict, Invalid, NotFound
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.text.json_values import is_large
from k8s_manager.admission.admit import rejections
from k8s_manager.admission.incremental_index import IncrementalIndex
from k8s_manager.admission.rules.warmup_rules import PlanChecks, heavy_bundles, problems_in
from k8s_manager.api.concurrency.write_locks import WriteLocks
from k8s_manager.api.services.document_bodies import completed, require_not_over
from k8s_manager.api.services.document_catalog import DocumentCatalog, PlanView
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.runtime.work.work_queue import WorkQueue
from k8s_manager.traffic.resolver import TrafficResolver
from k8s_manager.world.change_records import transfer_of
from k8s_manager.world.world import World


class AdmissionCheck:
    """Follows the claims of the fleet from write to write."""

    def __init__(
        self,
        catalog: DocumentCatalog,
        reader: WorldReader,
        traffic: TrafficResolver,
        plans: PlanChecks,
        view: PlanView,
        locks: WriteLocks,
        work: WorkQueue,
    ) -> None:
        self._work = work
        self._catalog, self._reader, self._traffic, self._view, self._locks = catalog, reader, traffic, view, locks
        self._plans, self._index = plans, IncrementalIndex(plans)

    def claims(self) -> World:
        """Return the world as far as it decides which document may have what."""
        found = self._reader.claims()
        self._reader.end_round(len(found.models))
        return replace(found, bindings=self._traffic.bindings(found, datetime.now(UTC)))

    def _reserved(self) -> dict[ObjectKey, Document]:
        """Return the documents that hold something and may not be stored yet, of transfers that are recorded too."""
        recorded = {}
        for tenant in self._catalog.many("Tenant"):
            if record := transfer_of(tenant):
                spec = {**tenant["spec"], "hosts": [*(tenant["spec"].get("hosts") or ()), record.received]}
                with suppress(Invalid):
                    document = parse(completed(names.key_of(tenant), {"spec": spec}))
                    recorded[document.key] = document
        return {**recorded, **self._locks.reserved()}

    async def read(self, key: ObjectKey, body: Manifest) -> Document:
        """Return the document in a body if it is right in itself; raises `Invalid`. A large one is read beside the
        event loop, and a warm-up plan is tried there before admission asks what is wrong with it."""
        self._catalog.require_sync()
        whole = completed(key, body)
        document = await self._work.run(lambda: parse(whole)) if is_large(whole) else parse(whole)
        if bundles := list(self._plans.untried(heavy_bundles([document], self._reader.claims()))):
            for bundle, problems in await self._work.run(lambda: [(one, problems_in(one)) for one in bundles]):
                self._plans.remember(bundle, problems)
        return document

    def require_admitted(self, document: Document) -> None:
        """Make sure that a document takes nothing from others; raises `Invalid`, `Conflict` or `NotFound`."""
        self._catalog.require_sync()
        require_not_over(document, datetime.now(UTC))
        world = self.claims()
        world = replace(world, ungated=world.ungated | self._reader.pods.ungated(document))
        claims = self._index.update(world, self._view.world, self._view.plan.admission, self._reserved())
        found = rejections(document, claims, self._plans)
        if not found:
            return
        problems = [rejection.problem for rejection in found]
        if all(rejection.reason == "NotFound" for rejection in found):
            raise NotFound(f"{document}: {problems[0]}", problems)
        if any(rejection.reason == "Invalid" for rejection in found):
            raise Invalid(str(document), problems)
        raise Conflict(str(document), problems)
