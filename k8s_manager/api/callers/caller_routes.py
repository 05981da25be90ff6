"""The routes of tokens, beside those that read and write whole Callers."""

from typing import Annotated

from fastapi import Depends, Request, Response

from istio_templates.facts import ObjectKey
from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.callers.bodies import (
    RevocationRequest,
    RotationAnswer,
    RotationRequest,
    TokenAnswer,
    TokenRequest,
)
from k8s_manager.api.document_paths import PATHS, place_of
from k8s_manager.api.exchange import note
from k8s_manager.api.openapi import created, described
from k8s_manager.api.parameters import DryRun
from k8s_manager.api.request_body import body_of
from k8s_manager.api.responses import in_json, respond
from k8s_manager.api.schemas.documents import CallerDocument
from k8s_manager.api.schemas.plans import WritePlan
from k8s_manager.api.services.write_request import AsAsked

router = api_router()
KIND = "Caller"
_ONE = PATHS[KIND] + "/{name}"
_SUBJECT = "Caller {tenant}/{name}"
CallerKey = Annotated[ObjectKey, Depends(place_of(KIND))]


@router.post(
    _ONE + "/tokens",
    tags=[KIND],
    summary="Issue a token to a caller. It is shown this once.",
    name="issue_caller_token",
    openapi_extra=described(TokenRequest),
    response_model=TokenAnswer,
    responses=created(TokenAnswer),
)
async def _issue(
    request: Request,
    backend: Api,
    tenant: str,
    key: CallerKey,
    body: Annotated[TokenRequest, Depends(body_of(TokenRequest, _SUBJECT))],
    dry_run: DryRun = False,
) -> Response:
    document, token = await backend.tokens.issue(key, tenant, body.ttl, dry_run)
    note(request, key, document)
    request.state.exchange.notes.update({"token": token.id} if token.id else {})
    return in_json(token.model_dump(by_alias=True, exclude_unset=True), 200 if dry_run else 201)


@router.post(
    _ONE + "/revocations",
    tags=[KIND],
    summary="Revoke a token of a caller. A repeat changes nothing.",
    name="revoke_caller_token",
    openapi_extra=described(RevocationRequest),
    response_model=CallerDocument | WritePlan,
)
async def _revoke(
    request: Request,
    backend: Api,
    key: CallerKey,
    body: Annotated[RevocationRequest, Depends(body_of(RevocationRequest, _SUBJECT))],
    write: AsAsked,
) -> Response:
    answer = await backend.tokens.revoke(key, body, write)
    note(request, key, answer)
    return respond(answer)


@router.post(
    "/v1/tenants/{tenant}/keys/rotate",
    tags=[KIND],
    summary="Sign a tenant's tokens by a new key. Those issued so far stay good until they expire, or not.",
    name="rotate_caller_keys",
    openapi_extra=described(RotationRequest),
    response_model=RotationAnswer,
)
async def _rotate(
    request: Request,
    backend: Api,
    tenant: str,
    body: Annotated[RotationRequest, Depends(body_of(RotationRequest, "the keys of tenant {tenant}"))],
    dry_run: DryRun = False,
) -> Response:
    backend.documents.namespace(tenant)  # raises NotFound where there is no such tenant
    keys = await backend.tokens.rotate(tenant, body.now, dry_run)
    note(request, ObjectKey("Tenant", "", tenant), {})
    return in_json({"keys": [key.model_dump(by_alias=True, exclude_unset=True) for key in keys]})
