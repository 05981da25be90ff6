"""Where the documents of each kind stand in the REST API."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from istio_templates.facts import ObjectKey
from k8s_manager.api.application_parts import Api, parts_of
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


def place_of(kind: str) -> Callable[[Request], Awaitable[ObjectKey]]:
    """Return the dependency that reads which document a path ends in; an override without a tenant in its path is the
    operators'."""

    async def place(request: Request) -> ObjectKey:
        namespace = namespace_of(request) or (SYSTEM if kind == "LimitOverride" else "")
        return ObjectKey(kind, namespace, request.path_params["name"])

    return place


def namespace_of(request: Request) -> str:
    """Return the namespace of the tenant in a path; empty where there is none in it."""
    tenant = request.path_params.get("tenant")
    return "" if tenant is None else parts_of(request).backend.documents.namespace(tenant)


async def _model(backend: Api, tenant: str, model: str) -> ObjectKey:
    return ObjectKey("Model", backend.documents.namespace(tenant), model)


GatewayKey = Annotated[ObjectKey, Depends(place_of("InferenceGateway"))]
ModelKey = Annotated[ObjectKey, Depends(_model)]
"""Which gateway, and which model, a path is about."""
