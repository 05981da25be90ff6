"""The REST API's routes."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

import orjson
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import generate_latest

from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager import explain
from k8s_manager.api import events, measurements, overrides, problems, simulate
from k8s_manager.api.backend import Backend
from k8s_manager.api.body import mapping
from k8s_manager.api.openapi import BODIES, RESPONSES, describe
from k8s_manager.api.options import Cascade, DryRun, Match
from k8s_manager.api.token import Token
from k8s_manager.limit_status import limit_status, pods_status
from k8s_manager.limit_view import LimitView
from k8s_manager.metrics import API_REQUESTS, REGISTRY
from k8s_manager.rights import SYSTEM

_BEARER = HTTPBearer(auto_error=False, description="The token in the file or the Secret that the manager was given.")


def build(backend: Backend, token: Token) -> FastAPI:
    """Return the application."""
    app = FastAPI(title="Tidegate", version="v1", docs_url=None, redoc_url=None, responses=RESPONSES)
    problems.install(app)
    app.middleware("http")(_counted)

    async def identified(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if given is None or not hmac.compare_digest(given.credentials.encode(), token.get().encode()):
            raise problems.Unidentified(
                "no valid bearer token; send 'Authorization: Bearer TOKEN' with the token of this manager"
            )

    _open(app, backend)
    _documents(app, backend, identified)
    _models(app, backend, identified)
    overrides.add(app, backend, identified)
    measurements.add(app, backend, identified)
    events.add(app, backend, identified)
    simulate.add(app, identified)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


async def _counted(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call(request)
    API_REQUESTS.labels(request.method, str(response.status_code)).inc()
    return response


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


def _documents(app: FastAPI, backend: Backend, identified: Callable[..., Any]) -> None:
    """Add the routes of gateways, tenants, models and operators' overrides: five verbs, alike for all."""
    for path, kind in (
        ("/v1/gateways", "InferenceGateway"),
        ("/v1/tenants", "Tenant"),
        ("/v1/tenants/{tenant}/models", "Model"),
        ("/v1/overrides", "LimitOverride"),
    ):
        _collection(app, backend, identified, path, kind)
        _object(app, backend, identified, path + "/{name}", kind)


def _collection(app: FastAPI, backend: Backend, identified: Callable[..., Any], path: str, kind: str) -> None:
    @app.get(path, tags=[kind], dependencies=[Depends(identified)], summary=f"List every {kind}.", name=f"list_{kind}")
    async def many(request: Request) -> Response:
        return _json({"items": backend.many(kind, _namespace(backend, request))})


def _object(app: FastAPI, backend: Backend, identified: Callable[..., Any], path: str, kind: str) -> None:
    options: dict[str, Any] = {"tags": [kind], "dependencies": [Depends(identified)]}

    def key(request: Request) -> ObjectKey:
        namespace = SYSTEM if kind == "LimitOverride" else _namespace(backend, request)
        return ObjectKey(kind, namespace, request.path_params["name"])

    @app.get(path, summary=f"Read one {kind}.", name=f"get_{kind}", **options)
    async def get(request: Request) -> Response:
        return _json(backend.one(key(request)))

    @app.put(path, summary=f"Write a whole {kind}.", name=f"put_{kind}", openapi_extra=BODIES[kind], **options)
    async def put(request: Request, dry_run: DryRun = False, match: Match = None) -> Response:
        place = key(request)
        answer, created = await backend.put(place, await mapping(request), dry_run, match)
        return _json(answer, 201 if created and not dry_run else 200)

    @app.patch(
        path,
        summary=f"Merge a patch (RFC 7396) into a {kind}.",
        name=f"patch_{kind}",
        openapi_extra=BODIES["patch"],
        **options,
    )
    async def patch(request: Request, dry_run: DryRun = False, match: Match = None) -> Response:
        place = key(request)
        return _json(await backend.patch(place, await mapping(request), dry_run, match))

    @app.delete(path, summary=f"Delete a {kind}.", name=f"delete_{kind}", **options)
    async def delete(request: Request, cascade: Cascade = False, dry_run: DryRun = False) -> Response:
        return _json(await backend.delete(key(request), cascade, dry_run), 200 if dry_run else 202)


def _models(app: FastAPI, backend: Backend, identified: Callable[..., Any]) -> None:
    root = "/v1/tenants/{tenant}/models/{model}"
    options: dict[str, Any] = {"tags": ["Model"], "dependencies": [Depends(identified)]}

    def key(tenant: str, model: str) -> ObjectKey:
        return ObjectKey("Model", backend.namespace(tenant), model)

    @app.get(root + "/limit", summary="The limit of a model and what it comes from.", **options)
    async def limit(tenant: str, model: str) -> Response:
        place = key(tenant, model)
        status, view = backend.limit(place)
        found = limit_status(view, status) or {"total": None, "reason": "Off"}
        return _json({"model": f"{tenant}/{model}", **found, "pods": _pods(backend, view)})

    @app.get(root + "/explain", summary="Why the limit is what it is, or which replicas are warm, in words.", **options)
    async def explained(tenant: str, model: str, about: Literal["limit", "ready"] = "limit") -> Response:
        place = key(tenant, model)
        if about == "ready":
            return _json(explain.ready(f"{tenant}/{model}", *backend.warmth(place)))
        status, view = backend.limit(place)
        return _json(explain.limit(f"{tenant}/{model}", view, status, _pods(backend, view)))

    @app.put(
        root + "/versions/{version}/scale",
        summary="Set the replicas of a version.",
        openapi_extra=BODIES["scale"],
        **options,
    )
    async def scale(request: Request, tenant: str, model: str, version: str, dry_run: DryRun = False) -> Response:
        place = key(tenant, model)
        body = await mapping(request)
        if set(body) != {"replicas"} or type(body["replicas"]) is not int or body["replicas"] < 0:
            raise Invalid(str(place), [Problem("replicas", 'send {"replicas": N} with a whole number from 0 on')])
        return _json(await backend.scale(place, version, body["replicas"], dry_run))

    @app.get(root + "/replicas", summary="The replicas of a model, where they are and which take requests.", **options)
    async def replicas(tenant: str, model: str) -> Response:
        return _json({"items": backend.replicas(key(tenant, model))})

    @app.put(
        root + "/traffic",
        summary="Move a model's traffic between its versions.",
        openapi_extra=BODIES["traffic"],
        **options,
    )
    async def traffic(
        request: Request, tenant: str, model: str, force: bool = False, dry_run: DryRun = False
    ) -> Response:
        place = key(tenant, model)
        body = await mapping(request)
        if set(body) != {"traffic"}:
            said = 'send {"traffic": [{"version": NAME, "weight": PER CENT}, ...]}'
            raise Invalid(str(place), [Problem("traffic", said)])
        return _json(await backend.traffic(place, body["traffic"], force, dry_run))


def _pods(backend: Backend, view: Mapping[str, LimitView]) -> list[Manifest]:
    """Return how far every gateway pod is with a model's limit."""
    return [pod for gateway, limit in view.items() for pod in pods_status(backend.proofs.of(gateway), limit.slot)]


def _namespace(backend: Backend, request: Request) -> str:
    tenant = request.path_params.get("tenant")
    return backend.namespace(tenant) if tenant is not None else ""


def _json(body: Manifest, status: int = 200) -> Response:
    version = body.get("metadata", {}).get("resourceVersion")
    headers = {"ETag": f'"{version}"'} if version else None
    return Response(orjson.dumps(body), status, media_type="application/json", headers=headers)
