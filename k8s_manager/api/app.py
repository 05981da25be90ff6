"""The REST API's routes."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest

from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api import guard, paging, problems
from k8s_manager.api.audit import Audit
from k8s_manager.api.document_paths import PATHS, key_of, namespace_of
from k8s_manager.api.exchange import Exchanges, note
from k8s_manager.api.guard import Guard, caller_of
from k8s_manager.api.openapi import BODIES, GOING, MADE, RESPONSES, describe
from k8s_manager.api.parameters import Cascade, Continue, Limit, Selector
from k8s_manager.api.request_body import mapping
from k8s_manager.api.responses import respond
from k8s_manager.api.routes import bundles, claims, events, git, history, measurements, overrides, simulation, whoami
from k8s_manager.api.services.backend import Backend
from k8s_manager.api.services.document_bodies import shown
from k8s_manager.api.services.write_request import AsAsked
from k8s_manager.authz.roles import Right
from k8s_manager.limits.limit_view import LimitView
from k8s_manager.runtime.metrics import REGISTRY
from k8s_manager.status import explain
from k8s_manager.status.limit_status import limit_status, pods_status


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
    simulation.add(app)
    bundles.add(app, backend)
    whoami.add(app)
    git.add(app, backend)
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
    for kind, path in PATHS.items():
        _collection(app, backend, path, kind)
        _object(app, backend, path + "/{name}", kind)


def _collection(app: FastAPI, backend: Backend, path: str, kind: str) -> None:
    @app.get(path, tags=[kind], summary=f"List every {kind}.", name=f"list_{kind}")
    async def many(
        request: Request, limit: Limit = paging.MOST, after: Continue = None, selector: Selector = None
    ) -> Response:
        found = backend.many(kind, namespace_of(request, backend))
        if kind == "Tenant":
            found = [obj for obj in found if caller_of(request).may(Right.READ, obj["metadata"]["name"])]
        return respond(paging.page(paging.selected(found, selector), limit, after, shown))


def _object(app: FastAPI, backend: Backend, path: str, kind: str) -> None:
    options: dict[str, Any] = {"tags": [kind]}

    def key(request: Request) -> ObjectKey:
        return key_of(kind, request, backend)

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
    async def put(request: Request, write: AsAsked) -> Response:
        place = key(request)
        body = await mapping(request)
        if kind == "LimitOverride":
            overrides.authored(body, caller_of(request).identity)
        answer, created = await backend.put(place, body, write)
        note(request, place, answer)
        return respond(answer, 201 if created and not write.dry_run else 200)

    @app.patch(
        path,
        summary=f"Merge a patch (RFC 7396) into a {kind}.",
        name=f"patch_{kind}",
        openapi_extra=BODIES["patch"],
        **options,
    )
    async def patch(request: Request, write: AsAsked) -> Response:
        place, body = key(request), await mapping(request)
        if kind == "LimitOverride":
            overrides.authored(body, caller_of(request).identity)
        answer = await backend.patch(place, body, write)
        note(request, place, answer)
        return respond(answer)

    @app.delete(path, summary=f"Delete a {kind}.", name=f"delete_{kind}", responses=GOING, **options)
    async def delete(request: Request, write: AsAsked, cascade: Cascade = False) -> Response:
        place = key(request)
        answer = await backend.delete(place, cascade, write)
        note(request, place, answer)
        return respond(answer, 200 if write.dry_run else 202)


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
    async def scale(request: Request, tenant: str, model: str, version: str, write: AsAsked) -> Response:
        place = key(tenant, model)
        body = await mapping(request)
        if set(body) != {"replicas"} or type(body["replicas"]) is not int or body["replicas"] < 0:
            raise Invalid(str(place), [Problem("replicas", 'send {"replicas": N} with a whole number from 0 on')])
        answer = await backend.scale(place, version, body["replicas"], write)
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
    async def traffic(request: Request, tenant: str, model: str, write: AsAsked, force: bool = False) -> Response:
        place = key(tenant, model)
        body = await mapping(request)
        if set(body) != {"traffic"}:
            said = 'send {"traffic": [{"version": NAME, "weight": PER CENT}, ...]}'
            raise Invalid(str(place), [Problem("traffic", said)])
        answer = await backend.traffic(place, body["traffic"], force, write)
        note(request, place, answer)
        return respond(answer)


def _pods(backend: Backend, view: Mapping[str, LimitView]) -> list[Manifest]:
    """Return how far every gateway pod is with a model's limit."""
    return [pod for gateway, limit in view.items() for pod in pods_status(backend.proofs.of(gateway), limit.slot)]
