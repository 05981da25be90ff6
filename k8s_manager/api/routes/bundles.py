"""Several documents in one call: what they would change together, and the manifests that follow from them alone."""

from typing import Annotated

import orjson
from fastapi import Depends, Request, Response

from istio_templates.facts import Manifest
from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.guard import caller_of
from k8s_manager.api.openapi import described
from k8s_manager.api.problems import Denied, TooLarge
from k8s_manager.api.request_body import body_of
from k8s_manager.api.responses import in_json
from k8s_manager.api.routes import overrides
from k8s_manager.api.schemas.bodies import DocumentsBody
from k8s_manager.api.schemas.plans import BundlePlan, RenderedManifests
from k8s_manager.api.services.backend import Backend
from k8s_manager.authz.roles import Caller, Right, roles_with
from k8s_manager.offline.offline_world import manifests

router = api_router()
MOST_BYTES = 16 * 2**20
Bundle = Annotated[DocumentsBody, Depends(body_of(DocumentsBody, "the documents"))]


@router.post(
    "/v1/plan",
    tags=["Documents"],
    summary="What writing these documents would change. Nothing is written.",
    name="plan_documents",
    openapi_extra=described(DocumentsBody),
    response_model=BundlePlan,
)
async def _plan(request: Request, backend: Api, body: Bundle) -> Response:
    for raw in body.documents:
        _require_right(caller_of(request), raw, backend)
        if raw.get("kind") == "LimitOverride":
            overrides.authored(raw, caller_of(request).identity)
    return in_json(await backend.bundles.plan(body.documents))


@router.post(
    "/v1/render",
    tags=["Documents"],
    summary="The manifests that follow from these documents alone.",
    name="render_documents",
    openapi_extra=described(DocumentsBody),
    response_model=RenderedManifests,
)
async def _render(backend: Api, body: Bundle) -> Response:
    return Response(await backend.work.run(lambda: _rendered(body.documents)), media_type="application/json")


def _require_right(caller: Caller, raw: Manifest, backend: Backend) -> None:
    """Make sure that a caller may write a document; raises `Denied`."""
    kind, metadata = raw.get("kind"), raw.get("metadata")
    namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
    tenant = backend.documents.tenant_of(namespace) if isinstance(namespace, str) else None
    rights = {
        "Model": Right.EDIT,
        "LimitOverride": Right.OPERATE,
        "ModelVersion": Right.OPERATE,
        "Caller": Right.CALLERS,
    }
    right = rights.get(str(kind), Right.MANAGE)
    if kind == "LimitOverride" and tenant is None:
        right = Right.OVERRIDE
    if not caller.may(right, tenant if right in (Right.EDIT, Right.OPERATE, Right.CALLERS) else None):
        where = f"in namespace {namespace}" if kind == "Model" or tenant else "for the whole fleet"
        raise Denied(
            f"{caller.identity.user} may not {right.value} {where}, which a {kind} needs; plan the others without it, "
            f"or ask a platform admin for the role {' or '.join(roles_with(right))}"
        )


def _rendered(found: list[Manifest]) -> bytes:
    parts, size = [], 0
    for obj in manifests(found):
        parts.append(orjson.dumps(obj))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise TooLarge(
                f"the manifests have more than {MOST_BYTES} bytes; use `tidegate render`, or send fewer documents"
            )
    return b'{"items":[' + b",".join(parts) + b"]}"
