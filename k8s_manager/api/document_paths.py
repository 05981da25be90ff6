"""Where the documents of each kind stand in the REST API."""

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
}


def key_of(kind: str, request: Request, backend: Backend) -> ObjectKey:
    """Return the document that a path ends in; an override is the operators'."""
    namespace = SYSTEM if kind == "LimitOverride" else namespace_of(request, backend)
    return ObjectKey(kind, namespace, request.path_params["name"])


def namespace_of(request: Request, backend: Backend) -> str:
    """Return the namespace of the tenant in a path; empty where there is none in it."""
    tenant = request.path_params.get("tenant")
    return "" if tenant is None else backend.namespace(tenant)
