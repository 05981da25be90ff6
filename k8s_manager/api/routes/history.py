"""The routes of a document's history: its revisions, one of them, what differs, and back to one."""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from pydantic import Field, ValidationError

from istio_templates.documents.fields import Spec
from istio_templates.documents.parse import problems_of
from istio_templates.errors import Invalid
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.document_paths import PATHS, key_of
from k8s_manager.api.exchange import note
from k8s_manager.api.guard import caller_of, change_by
from k8s_manager.api.openapi import BODIES
from k8s_manager.api.parameters import MOST_REASON, MOST_TICKET, DryRun, Match, Planned
from k8s_manager.api.preconditions import WHATEVER
from k8s_manager.api.request_body import mapping
from k8s_manager.api.responses import in_json
from k8s_manager.api.routes.overrides import authored
from k8s_manager.api.services.backend import Backend
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.history.revision import difference, line

Against = Annotated[int | None, Query(ge=1, description="Another revision: what differs from it to this one.")]


def add(app: FastAPI, backend: Backend) -> None:
    """Add the routes."""
    for kind, path in PATHS.items():
        _routes(app, backend, path + "/{name}", kind)


def _routes(app: FastAPI, backend: Backend, path: str, kind: str) -> None:
    options: dict[str, Any] = {"tags": ["History"]}

    def key(request: Request) -> ObjectKey:
        return key_of(kind, request, backend)

    @app.get(path + "/history", summary=f"The revisions of a {kind}.", name=f"history_{kind}", **options)
    async def revisions(request: Request) -> Response:
        live = backend.one(key(request))
        found = await backend.history.of(key(request), live["metadata"]["uid"])
        current = live["metadata"]["generation"]
        return in_json({"items": [line(obj, int(obj["revision"]) == current) for obj in found]})

    @app.get(path + "/history/{revision}", summary=f"One revision of a {kind}.", name=f"revision_{kind}", **options)
    async def revision(request: Request, revision: int, against: Against = None) -> Response:
        live = backend.one(key(request))
        uid, current = live["metadata"]["uid"], live["metadata"]["generation"]
        found = await backend.history.one(key(request), uid, revision)
        told = {**line(found, revision == current), "spec": found["data"]["spec"]}
        if against is not None:
            told["diff"] = difference(await backend.history.one(key(request), uid, against), found)
        return in_json(told)

    @app.post(
        path + "/rollback",
        summary=f"Back to a revision of a {kind}.",
        name=f"rollback_{kind}",
        openapi_extra=BODIES["rollback"],
        **options,
    )
    async def rollback(
        request: Request, dry_run: DryRun = False, match: Match = None, planned: Planned = None
    ) -> Response:
        place = key(request)
        asked = _asked(await mapping(request), place)
        found = await backend.history.one(place, backend.one(place)["metadata"]["uid"], asked.revision)
        why = change_by(request, asked.reason or f"back to revision {asked.revision}", asked.ticket)
        body = {"spec": found["data"]["spec"]}
        if kind == "LimitOverride":
            authored(body, caller_of(request).identity)
        answer, _ = await backend.put(place, body, WriteRequest(dry_run, match or WHATEVER, why, planned))
        note(request, place, answer)
        return in_json(answer)


class Rollback(Spec):
    """What a rollback is told."""

    revision: int = Field(ge=1, strict=True)
    reason: str = Field(default="", max_length=MOST_REASON)
    ticket: str = Field(default="", max_length=MOST_TICKET)


def _asked(body: Manifest, key: ObjectKey) -> Rollback:
    try:
        return Rollback.model_validate(body)
    except ValidationError as error:
        raise Invalid(f"the rollback of {key}", problems_of(error, Rollback)) from error
