"""The routes of a document's history: its revisions, one of them, what differs, and back to one."""

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.concurrency.preconditions import WHATEVER
from k8s_manager.api.document_paths import ROOTS, place_of
from k8s_manager.api.exchange import note
from k8s_manager.api.guard import caller_of, change_by
from k8s_manager.api.openapi import described
from k8s_manager.api.parameters import DryRun, Match, Planned
from k8s_manager.api.request_body import body_of
from k8s_manager.api.responses import in_json
from k8s_manager.api.routes.overrides import authored
from k8s_manager.api.schemas.bodies import RollbackBody
from k8s_manager.api.schemas.documents import KINDS
from k8s_manager.api.schemas.history import RevisionList
from k8s_manager.api.schemas.plans import WritePlan
from k8s_manager.api.services.backend import Backend
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.history.revision import difference, document_at, line

router = api_router()
Against = Annotated[int | None, Query(ge=1, description="Another revision; the answer is the difference from it.")]

Deleted = Annotated[
    bool,
    Query(description="Of the document of this name that was deleted last; without it where there is no other."),
]


def _reads(path: str, kind: str, noun: str) -> None:
    types = KINDS[kind]
    place = place_of(kind)

    @router.get(
        path + "/history",
        tags=["History"],
        summary=f"The revisions of a {kind}.",
        name=f"list_{noun}_revisions",
        response_model=RevisionList,
    )
    async def revisions(backend: Api, key: Annotated[ObjectKey, Depends(place)], deleted: Deleted = False) -> Response:
        live = backend.documents.here(key)
        found = await backend.history.of(key, live, deleted)
        return in_json({"items": [line(obj, live) for obj in found]})

    @router.get(
        path + "/history/{revision}",
        tags=["History"],
        summary=f"One revision of a {kind}.",
        name=f"get_{noun}_revision",
        response_model=types.revision,
    )
    async def revision(
        backend: Api,
        key: Annotated[ObjectKey, Depends(place)],
        revision: int,
        against: Against = None,
        deleted: Deleted = False,
    ) -> Response:
        live = backend.documents.here(key)
        found = await backend.history.one(key, live, revision, deleted)
        shown = {**line(found, live), "spec": found["data"]["spec"]}
        if against is not None:
            other = await backend.history.one(key, live, against, deleted)
            shown["diff"] = await backend.work.run(lambda: difference(other, found))
        return in_json(shown)


async def _target(backend: Backend, key: ObjectKey, live: Manifest | None, body: RollbackBody) -> Manifest:
    """Return the revision that shall hold again; raises `NotFound`."""
    if body.revision is None:
        return await backend.history.previous(key, live, body.deleted)
    return await backend.history.one(key, live, body.revision, body.deleted)


def _rollback(path: str, kind: str, noun: str) -> None:
    types = KINDS[kind]
    place = place_of(kind)
    subject = f"the rollback of {kind} " + ("{tenant}/{name}" if "{tenant}" in path else "{name}")

    @router.post(
        path,
        tags=["History"],
        summary=f"Back to a revision of a {kind}.",
        name=f"rollback_{noun}",
        openapi_extra=described(RollbackBody),
        response_model=types.document | WritePlan,
    )
    async def rollback(
        request: Request,
        backend: Api,
        key: Annotated[ObjectKey, Depends(place)],
        body: Annotated[RollbackBody, Depends(body_of(RollbackBody, subject))],
        dry_run: DryRun = False,
        match: Match = None,
        planned: Planned = None,
    ) -> Response:
        live = backend.documents.here(key)
        found = await _target(backend, key, live, body)
        why = change_by(request, body.reason or f"back to revision {found['revision']}", body.ticket)
        document = {"spec": found["data"]["spec"]} if live else document_at(found)
        if kind == "LimitOverride":
            authored(document, caller_of(request).identity)
        asked = WriteRequest(dry_run, match or WHATEVER, why, planned, caller_of(request).identity.name)
        answer, _ = await backend.writer.put(key, document, asked)
        note(request, key, answer)
        return in_json(answer)


for _kind, _path, _prefix in ROOTS:
    _reads(_path + "/{name}", _kind, _prefix + KINDS[_kind].noun)
    _rollback(_path + "/{name}/rollback", _kind, _prefix + KINDS[_kind].noun)
