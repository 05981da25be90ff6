"""Where the documents of each kind stand in the REST API."""

from collections.abc import Awaitable, Callable

from fastapi import Request

from istio_templates.facts import ObjectKey
from k8s_manager.api.services.backend import Backend
from k8s_manager.world.installation import SYSTEM

PATHS = {
    "InferenceGateway": "/v1/gateways",
    "Tenant": "/v1/tenants",
    "Model": "/v1/tenants/{tenant}/models",
    "LimitOverride": "/v1/overrides",
    "AccessGrant": "/v1/grants",
    "ModelVersion": "/v1/tenants/{tenant}/modelversions",
    "Caller": "/v1/tenants/{tenant}/callers",
}


TENANTS_OVERRIDES = "/v1/tenants/{tenant}/overrides"
ROOTS: tuple[tuple[str, str, str], ...] = (
    *((kind, path, "") for kind, path in PATHS.items()),
    ("LimitOverride", TENANTS_OVERRIDES, "tenant_"),
)
"""Each kind with where its documents stand, and what the names of the operations there begin with: overrides stand in
two places, the operators' and the tenants'."""


def place_of(kind: str, backend: Backend) -> Callable[[Request], Awaitable[ObjectKey]]:
    """Return the dependency that reads which document a path ends in; an override without a tenant in its path is the
    operators'."""

    async def place(request: Request) -> ObjectKey:
        namespace = namespace_of(request, backend) or (SYSTEM if kind == "LimitOverride" else "")
        return ObjectKey(kind, namespace, request.path_params["name"])

    return place


def model_of(backend: Backend) -> Callable[[str, str], Awaitable[ObjectKey]]:
    """Return the dependency that reads which model a path is about."""

    async def place(tenant: str, model: str) -> ObjectKey:
        return ObjectKey("Model", backend.documents.namespace(tenant), model)

    return place


def namespace_of(request: Request, backend: Backend) -> str:
    """Return the namespace of the tenant in a path; empty where there is none in it."""
    tenant = request.path_params.get("tenant")
    return "" if tenant is None else backend.documents.namespace(tenant)
