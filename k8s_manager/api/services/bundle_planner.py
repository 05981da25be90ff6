"""What writing several documents would change; they may need each other."""

from collections.abc import Sequence
from datetime import UTC, datetime

from istio_templates.documents import Document, parse
from istio_templates.errors import Conflict, Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.services.document_bodies import require_not_over
from k8s_manager.api.services.document_catalog import DocumentCatalog
from k8s_manager.kube.store import Store
from k8s_manager.preview.dry_run import DryRunner
from k8s_manager.preview.preview import GROUPS
from k8s_manager.runtime.work.work_queue import WorkQueue
from k8s_manager.world.installation import SYSTEM


class BundlePlanner:
    """Plans documents together; nothing here writes."""

    def __init__(self, store: Store, catalog: DocumentCatalog, dry_run: DryRunner, work: WorkQueue) -> None:
        self._store, self._catalog, self._dry_run, self._work = store, catalog, dry_run, work

    async def plan(self, bodies: Sequence[Manifest]) -> Manifest:
        """Return what writing several documents would change; they may need each other."""
        self._catalog.require_sync()
        writes = await self._work.run(lambda: _plannable(bodies, datetime.now(UTC)))
        leaving = [key for key in writes if "deletionTimestamp" in (self._store.get(key) or {}).get("metadata", {})]
        if leaving:
            said = [Problem("", f"{key} is being deleted; wait until it is gone") for key in leaving]
            raise Invalid("the documents", said)
        planned = await self._dry_run.preview_writes(*writes.values())
        refused = planned.preview.rejected
        told = [
            Problem(f"{key} {problem.field}".rstrip(), problem.message)
            for key, verdict in refused.items()
            for problem in verdict.problems
        ]
        if refused:
            is_wrong = any(verdict.reason == "Invalid" for verdict in refused.values())
            raise (Invalid if is_wrong else Conflict)("the documents", told)
        return {**await self._dry_run.report(planned), "documents": [str(document) for document, _ in writes.values()]}


def _plannable(bodies: Sequence[Manifest], now: datetime) -> dict[ObjectKey, tuple[Document, Manifest]]:
    """Return the documents in bodies that name themselves, each with its body; raises `Invalid`."""
    writes: dict[ObjectKey, tuple[Document, Manifest]] = {}
    problems: list[Problem] = []
    for number, raw in enumerate(bodies):
        place = f"documents.{number}"
        try:
            document, body = _document(raw, now)
        except Invalid as error:
            problems += [Problem(f"{place}.{p.field}".rstrip("."), p.message) for p in error.problems]
            continue
        if document.key in writes:
            problems.append(Problem(place, f"{document} stands twice"))
        writes[document.key] = (document, body)
    if problems:
        raise Invalid("the documents", problems)
    return writes


def _document(body: Manifest, now: datetime) -> tuple[Document, Manifest]:
    """Return the document in a body that names itself, if its kind can be written here; an override that names no
    namespace is the operators'."""
    metadata = body.get("metadata")
    if body.get("kind") == "LimitOverride" and isinstance(metadata, dict) and not metadata.get("namespace"):
        body = {**body, "metadata": {**metadata, "namespace": SYSTEM}}
    document = parse(body)
    if document.kind not in GROUPS:
        said = f"{document.kind} is not written by the REST API; write it with kubectl apply"
        raise Invalid(str(document), [Problem("kind", said)])
    require_not_over(document, now)
    return document, body
