"""The routes of the registry, beside those that read and write whole ModelVersions."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request, Response

from istio_templates.documents.versions.model_version import VersionEvaluation
from istio_templates.facts import ObjectKey
from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.document_paths import PATHS, namespace_of, place_of
from k8s_manager.api.exchange import note
from k8s_manager.api.guard import caller_of
from k8s_manager.api.openapi import created, described
from k8s_manager.api.registry.bodies import ApprovalBody, BlockBody, PinBody, VersionRegistration
from k8s_manager.api.request_body import body_of
from k8s_manager.api.responses import respond
from k8s_manager.api.schemas.documents import ModelVersionDocument
from k8s_manager.api.schemas.plans import WritePlan
from k8s_manager.api.services.write_request import AsAsked

router = api_router()
KIND = "ModelVersion"
ROOT = PATHS[KIND]
_ONE = ROOT + "/{name}"
_SUBJECT = "ModelVersion {tenant}/{name}"
VersionKey = Annotated[ObjectKey, Depends(place_of(KIND))]


@router.post(
    ROOT,
    tags=[KIND],
    summary="Register a version, as training does after a run. A repeat changes nothing.",
    name="register_modelversion",
    openapi_extra=described(VersionRegistration),
    response_model=ModelVersionDocument | WritePlan,
    responses=created(ModelVersionDocument),
)
async def _register(
    request: Request,
    backend: Api,
    body: Annotated[VersionRegistration, Depends(body_of(VersionRegistration, "a version of tenant {tenant}"))],
    write: AsAsked,
) -> Response:
    by = caller_of(request).identity.name
    key, answer, is_new = await backend.registry.register(namespace_of(request), body, by, write)
    note(request, key, answer)
    return respond(answer, 201 if is_new and not write.dry_run else 200)


@router.post(
    _ONE + "/evaluations",
    tags=[KIND],
    summary="Add the evaluation of a version. A repeat changes nothing.",
    name="evaluate_modelversion",
    openapi_extra=described(VersionEvaluation),
    response_model=ModelVersionDocument | WritePlan,
)
async def _evaluate(
    request: Request,
    backend: Api,
    key: VersionKey,
    body: Annotated[VersionEvaluation, Depends(body_of(VersionEvaluation, _SUBJECT))],
    write: AsAsked,
) -> Response:
    answer = await backend.registry.evaluate(key, body, write)
    note(request, key, answer)
    return respond(answer)


@router.put(
    _ONE + "/block",
    tags=[KIND],
    summary="Keep a version from being chosen.",
    name="block_modelversion",
    openapi_extra=described(BlockBody),
    response_model=ModelVersionDocument | WritePlan,
)
async def _block(
    request: Request,
    backend: Api,
    key: VersionKey,
    body: Annotated[BlockBody, Depends(body_of(BlockBody, _SUBJECT))],
    write: AsAsked,
) -> Response:
    answer = await backend.registry.block(key, body, write)
    note(request, key, answer)
    return respond(answer)


@router.delete(
    _ONE + "/block",
    tags=[KIND],
    summary="Let a version that was blocked be chosen.",
    name="unblock_modelversion",
    response_model=ModelVersionDocument | WritePlan,
)
async def _unblock(request: Request, backend: Api, key: VersionKey, write: AsAsked) -> Response:
    answer = await backend.registry.block(key, None, write)
    note(request, key, answer)
    return respond(answer)


@router.put(
    _ONE + "/pin",
    tags=[KIND],
    summary="Choose a version, whatever a strategy says.",
    name="pin_modelversion",
    openapi_extra=described(PinBody),
    response_model=ModelVersionDocument | WritePlan,
)
async def _pin(
    request: Request,
    backend: Api,
    key: VersionKey,
    body: Annotated[PinBody, Depends(body_of(PinBody, _SUBJECT))],
    write: AsAsked,
) -> Response:
    by = caller_of(request).identity.name
    answer = await backend.registry.pin(key, body, by, datetime.now(UTC), write)
    note(request, key, answer)
    return respond(answer)


@router.delete(
    _ONE + "/pin",
    tags=[KIND],
    summary="End the pin of a version.",
    name="unpin_modelversion",
    response_model=ModelVersionDocument | WritePlan,
)
async def _unpin(request: Request, backend: Api, key: VersionKey, write: AsAsked) -> Response:
    answer = await backend.registry.pin(key, None, "", datetime.now(UTC), write)
    note(request, key, answer)
    return respond(answer)


@router.put(
    _ONE + "/pin/approval",
    tags=[KIND],
    summary="Approve the pin of another person. A repeat changes nothing.",
    name="approve_modelversion_pin",
    openapi_extra=described(ApprovalBody),
    response_model=ModelVersionDocument | WritePlan,
)
async def _approve(
    request: Request,
    backend: Api,
    key: VersionKey,
    body: Annotated[ApprovalBody, Depends(body_of(ApprovalBody, _SUBJECT))],
    write: AsAsked,
) -> Response:
    answer = await backend.registry.approve(key, body, caller_of(request).identity.name, write)
    note(request, key, answer)
    return respond(answer)
