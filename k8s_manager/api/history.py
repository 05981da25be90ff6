"""The routes of a document's history: its revisions, one of them, what differs, and back to one."""

from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query, Request, Response

from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.backend import Backend
from k8s_manager.api.body import mapping
from k8s_manager.api.exchange import note
from k8s_manager.api.guard import change_by
from k8s_manager.api.openapi import BODIES
from k8s_manager.api.options import DryRun, Match
from k8s_manager.api.versions import WHATEVER
from k8s_manager.revisions import difference, line

Against = Annotated[int | None, Query(ge=1, description="Another revision: what differs from it to this one.")]


def add(app: FastAPI, backend: Backend) -> None:
    """Add the routes."""
    for path, kind in (
        ("/v1/gateways", "InferenceGateway"),
        ("/v1/tenants", "Tenant"),
        ("/v1/tenants/{tenant}/models", "Model"),
        ("/v1/grants", "AccessGrant"),
    ):
        _routes(app, backend, path + "/{name}", kind)


def _routes(app: FastAPI, backend: Backend, path: str, kind: str) -> None:
    options: dict[str, Any] = {"tags": ["History"]}

    def key(request: Request) -> ObjectKey:
        tenant = request.path_params.get("tenant")
        return ObjectKey(kind, backend.namespace(tenant) if tenant else "", request.path_params["name"])

    @app.get(path + "/history", summary=f"The revisions of a {kind}.", name=f"history_{kind}", **options)
    async def revisions(request: Request) -> Response:
        live = backend.one(key(request))
        found = await backend.history.of(key(request), live["metadata"]["uid"])
        current = live["metadata"]["generation"]
        return _json({"items": [line(obj, int(obj["revision"]) == current) for obj in found]})

    @app.get(path + "/history/{revision}", summary=f"One revision of a {kind}.", name=f"revision_{kind}", **options)
    async def revision(request: Request, revision: int, against: Against = None) -> Response:
        live = backend.one(key(request))
        uid, current = live["metadata"]["uid"], live["metadata"]["generation"]
        found = await backend.history.one(key(request), uid, revision)
        told = {**line(found, revision == current), "spec": found["data"]["spec"]}
        if against is not None:
            told["diff"] = difference(await backend.history.one(key(request), uid, against), found)
        return _json(told)

    @app.post(
        path + "/rollback",
        summary=f"Back to a revision of a {kind}.",
        name=f"rollback_{kind}",
        openapi_extra=BODIES["rollback"],
        **options,
    )
    async def rollback(request: Request, dry_run: DryRun = False, match: Match = None) -> Response:
        place, body = key(request), await mapping(request)
        number, reason, ticket = body.get("revision"), body.get("reason", ""), body.get("ticket", "")
        if unknown := sorted(body.keys() - {"revision", "reason", "ticket"}):
            raise Invalid(str(place), [Problem(unknown[0], "is unknown; send revision, and perhaps reason and ticket")])
        if type(number) is not int or not isinstance(reason, str) or not isinstance(ticket, str):
            raise Invalid(
                str(place), [Problem("revision", 'send {"revision": N}, and perhaps reason and ticket, texts')]
            )
        found = await backend.history.one(place, backend.one(place)["metadata"]["uid"], number)
        why = change_by(request, reason or f"back to revision {number}", ticket)
        answer, _ = await backend.put(place, {"spec": found["data"]["spec"]}, dry_run, match or WHATEVER, change=why)
        note(request, place, answer)
        return _json(answer)


def _json(body: Manifest) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
