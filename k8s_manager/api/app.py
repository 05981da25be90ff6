"""The REST API's routes."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest

from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager import explain
from k8s_manager.access.roles import Right
from k8s_manager.api import callers, claims, events, guard, history, measurements, overrides, pages, problems, simulate
from k8s_manager.api.answers import respond
from k8s_manager.api.audit import Audit
from k8s_manager.api.backend import Backend, shown
from k8s_manager.api.body import mapping
from k8s_manager.api.exchange import Exchanges, note
from k8s_manager.api.guard import Guard, caller_of, change_by
from k8s_manager.api.openapi import BODIES, GOING, MADE, RESPONSES, describe
from k8s_manager.api.options import Cascade, Continue, DryRun, Limit, Match, Planned, Reason, Selector, Ticket
from k8s_manager.limit_status import limit_status, pods_status
from k8s_manager.limit_view import LimitView
from k8s_manager.metrics import REGISTRY
from k8s_manager.rights import SYSTEM


def build(backend: Backend, guarding: Guard, audit: Audit, proved_again: float) -> FastAPI:
    """Return the application; who reads a stream is proved again every `proved_again` seconds."""
    app = FastAPI(
        title="Tidegate",
        version="v1",
        docs_url=None,
        redoc_url=None,
        responses=RESPONSES,
        dependencies=[Depends(guarding)],
    )
    problems.install(app)
    app.add_middleware(Exchanges, audit=audit)
    _open(app, backend)
    _documents(app, backend)
    _models(app, backend)
    overrides.add(app, backend)
    measurements.add(app, backend)
    events.add(app, backend, proved_again)
    simulate.add(app)
    callers.add(app)
    claims.add(app, backend)
    history.add(app, backend)
    guard.install(app)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


def _open(app: FastAPI, backend: Backend) -> None:
    @app.get("/healthz", response_class=PlainTextResponse, summary="Is the process alive?")
    async def healthz() -> str:
        return "ok\n"

    @app.get("/readyz", response_class=PlainTextResponse, summary="Has everything been read?")
    async def readyz() -> Response:
        reason = backend.unready()
        return PlainTextResponse("ok\n" if reason is None else f"{reason}\n", 200 if reason is None else 503)

    @app.get("/metrics", response_class=PlainTextResponse, summary="Metrics in Prometheus' format.")
    async def metrics() -> Response:
        return PlainTextResponse(generate_latest(REGISTRY), media_type="text/plain; version=0.0.4")


def _documents(app: FastAPI, backend: Backend) -> None:
    """Add the routes of gateways, tenants, models, operators' overrides and grants: five verbs, alike for all."""
    for path, kind in (
        ("/v1/gateways", "InferenceGateway"),
        ("/v1/tenants", "Tenant"),
        ("/v1/tenants/{tenant}/models", "Model"),
        ("/v1/overrides", "LimitOverride"),
        ("/v1/grants", "AccessGrant"),
    ):
        _collection(app, backend, path, kind)
        _object(app, backend, path + "/{name}", kind)


def _collection(app: FastAPI, backend: Backend, path: str, kind: str) -> None:
    @app.get(path, tags=[kind], summary=f"List every {kind}.", name=f"list_{kind}")
    async def many(
        request: Request, limit: Limit = pages.MOST, after: Continue = None, selector: Selector = None
    ) -> Response:
        found = backend.many(kind, _namespace(backend, request))
        if kind == "Tenant":
            found = [obj for obj in found if caller_of(request).may(Right.READ, obj["metadata"]["name"])]
        return respond(pages.page(pages.selected(found, selector), limit, after, shown))


def _object(app: FastAPI, backend: Backend, path: str, kind: str) -> None:
    options: dict[str, Any] = {"tags": [kind]}

    def key(request: Request) -> ObjectKey:
        namespace = SYSTEM if kind == "LimitOverride" else _namespace(backend, request)
        return ObjectKey(kind, namespace, request.path_params["name"])

    @app.get(path, summary=f"Read one {kind}.", name=f"get_{kind}", **options)
    async def get(request: Request) -> Response:
        return respond(backend.one(key(request)))

    @app.put(
        path,
        summary=f"Write a whole {kind}.",
        name=f"put_{kind}",
        openapi_extra=BODIES[kind],
        responses=MADE,
        **options,
    )
    async def put(
        request: Request,
        dry_run: DryRun = False,
        match: Match = None,
        reason: Reason = "",
        ticket: Ticket = "",
        planned: Planned = None,
    ) -> Response:
        place = key(request)
        body = await mapping(request)
        if kind == "LimitOverride":
            overrides.authored(body, caller_of(request).identity)
        why = change_by(request, reason, ticket)
        answer, created = await backend.put(place, body, dry_run, match, change=why, planned=planned)
        note(request, place, answer)
        return respond(answer, 201 if created and not dry_run else 200)

    @app.patch(
        path,
        summary=f"Merge a patch (RFC 7396) into a {kind}.",
        name=f"patch_{kind}",
        openapi_extra=BODIES["patch"],
        **options,
    )
    async def patch(
        request: Request,
        dry_run: DryRun = False,
        match: Match = None,
        reason: Reason = "",
        ticket: Ticket = "",
        planned: Planned = None,
    ) -> Response:
        place, body = key(request), await mapping(request)
        if kind == "LimitOverride":
            overrides.authored(body, caller_of(request).identity)
        why = change_by(request, reason, ticket)
        answer = await backend.patch(place, body, dry_run, match, why, planned)
        note(request, place, answer)
        return respond(answer)

    @app.delete(path, summary=f"Delete a {kind}.", name=f"delete_{kind}", responses=GOING, **options)
    async def delete(
        request: Request, cascade: Cascade = False, dry_run: DryRun = False, match: Match = None
    ) -> Response:
        place = key(request)
        answer = await backend.delete(place, cascade, dry_run, match)
        note(request, place, answer)
        return respond(answer, 200 if dry_run else 202)


def _models(app: FastAPI, backend: Backend) -> None:
    root = "/v1/tenants/{tenant}/models/{model}"
    options: dict[str, Any] = {"tags": ["Model"]}

    def key(tenant: str, model: str) -> ObjectKey:
        return ObjectKey("Model", backend.namespace(tenant), model)

    @app.get(root + "/limit", summary="The limit of a model and what it comes from.", **options)
    async def limit(tenant: str, model: str) -> Response:
        place = key(tenant, model)
        status, view = backend.limit(place)
        found = limit_status(view, status) or {"total": None, "reason": "Off"}
        return respond({"model": f"{tenant}/{model}", **found, "pods": _pods(backend, view)})

    @app.get(root + "/explain", summary="Why the limit is what it is, or which replicas are warm, in words.", **options)
    async def explained(tenant: str, model: str, about: Literal["limit", "ready"] = "limit") -> Response:
        place = key(tenant, model)
        if about == "ready":
            return respond(explain.ready(f"{tenant}/{model}", *backend.warmth(place)))
        status, view = backend.limit(place)
        return respond(explain.limit(f"{tenant}/{model}", view, status, _pods(backend, view)))

    @app.put(
        root + "/versions/{version}/scale",
        summary="Set the replicas of a version.",
        openapi_extra=BODIES["scale"],
        **options,
    )
    async def scale(
        request: Request,
        tenant: str,
        model: str,
        version: str,
        dry_run: DryRun = False,
        match: Match = None,
        reason: Reason = "",
        ticket: Ticket = "",
    ) -> Response:
        place = key(tenant, model)
        body = await mapping(request)
        if set(body) != {"replicas"} or type(body["replicas"]) is not int or body["replicas"] < 0:
            raise Invalid(str(place), [Problem("replicas", 'send {"replicas": N} with a whole number from 0 on')])
        why = change_by(request, reason, ticket)
        answer = await backend.scale(place, version, body["replicas"], dry_run, match, why)
        note(request, place, answer)
        return respond(answer)

    @app.get(root + "/replicas", summary="The replicas of a model, where they are and which take requests.", **options)
    async def replicas(tenant: str, model: str) -> Response:
        return respond({"items": backend.replicas(key(tenant, model))})

    @app.put(
        root + "/traffic",
        summary="Move a model's traffic between its versions.",
        openapi_extra=BODIES["traffic"],
        **options,
    )
    async def traffic(
        request: Request,
        tenant: str,
        model: str,
        force: bool = False,
        dry_run: DryRun = False,
        match: Match = None,
        reason: Reason = "",
        ticket: Ticket = "",
    ) -> Response:
        place = key(tenant, model)
        body = await mapping(request)
        if set(body) != {"traffic"}:
            said = 'send {"traffic": [{"version": NAME, "weight": PER CENT}, ...]}'
            raise Invalid(str(place), [Problem("traffic", said)])
        why = change_by(request, reason, ticket)
        answer = await backend.traffic(place, body["traffic"], force, dry_run, match, why)
        note(request, place, answer)
        return respond(answer)


def _pods(backend: Backend, view: Mapping[str, LimitView]) -> list[Manifest]:
    """Return how far every gateway pod is with a model's limit."""
    return [pod for gateway, limit in view.items() for pod in pods_status(backend.proofs.of(gateway), limit.slot)]


def _namespace(backend: Backend, request: Request) -> str:
    tenant = request.path_params.get("tenant")
    return backend.namespace(tenant) if tenant is not None else ""
