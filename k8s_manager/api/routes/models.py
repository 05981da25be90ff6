"""The routes of what a model does: its limit, its replicas, its traffic, who measures it."""

from typing import Annotated, Literal

from fastapi import Depends, Request, Response

from istio_templates.documents.autoscale import VersionAutoscale
from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.document_paths import ModelKey
from k8s_manager.api.exchange import note
from k8s_manager.api.guard import change_by
from k8s_manager.api.openapi import described
from k8s_manager.api.parameters import DryRun, Match, Reason
from k8s_manager.api.request_body import body_of
from k8s_manager.api.responses import in_json, respond
from k8s_manager.api.schemas.bodies import MeasurementBody, PauseBody, ReleaseBody, ScaleBody, TrafficBody
from k8s_manager.api.schemas.documents import ModelDocument
from k8s_manager.api.schemas.limits import LimitExplanation, ModelLimit, ModelWithoutLimit, NoLimitExplanation
from k8s_manager.api.schemas.plans import WritePlan
from k8s_manager.api.schemas.releases.release import ModelRelease, ReleasePlan
from k8s_manager.api.schemas.replicas import DecidedReplicas, ReplicaList, ScalingExplanation
from k8s_manager.api.schemas.warmups import MeasurementHold, WarmupExplanation
from k8s_manager.api.services.write_request import AsAsked, WriteRequest
from k8s_manager.release.release_status import release_view
from k8s_manager.status import explain
from k8s_manager.status.limit_status import limit_status

router = api_router()
_ROOT = "/v1/tenants/{tenant}/models/{model}"
_SUBJECT = "Model {tenant}/{model}"


@router.get(
    _ROOT + "/limit",
    tags=["Model"],
    summary="The limit of a model and what it comes from.",
    name="get_model_limit",
    response_model=ModelLimit | ModelWithoutLimit,
)
async def _limit(backend: Api, tenant: str, model: str, key: ModelKey) -> Response:
    status, view = backend.models.limit(key)
    waits = any(one.holders is not None for one in view.values())
    without = {"total": None, "reason": "NoPinnedSlot" if waits else "Off", "mode": "off"}
    found = limit_status(view, status) or without
    return in_json({"model": f"{tenant}/{model}", **found, "pods": backend.models.gateway_pods(view)})


@router.get(
    _ROOT + "/explain",
    tags=["Model"],
    summary="Why the limit or the number of replicas is what it is, or which replicas are warm, in words.",
    name="explain_model",
    response_model=LimitExplanation | WarmupExplanation | ScalingExplanation | NoLimitExplanation,
)
async def _explained(
    backend: Api,
    tenant: str,
    model: str,
    key: ModelKey,
    about: Literal["limit", "ready", "replicas"] = "limit",
) -> Response:
    subject = f"{tenant}/{model}"
    if about == "ready":
        return in_json(explain.ready(subject, *backend.models.warmth(key), backend.models.trouble(key)))
    if about == "replicas":
        return in_json(explain.replicas(subject, backend.models.scaling(key)))
    status, view = backend.models.limit(key)
    pods, trouble = backend.models.gateway_pods(view), backend.models.trouble(key)
    return in_json(explain.limit(subject, view, status, pods, trouble))


@router.get(
    _ROOT + "/replicas",
    tags=["Model"],
    summary="The replicas of a model, where they are and which take requests.",
    name="list_model_replicas",
    response_model=ReplicaList,
)
async def _replicas(backend: Api, key: ModelKey) -> Response:
    return in_json({"items": backend.models.replicas(key)})


@router.get(
    _ROOT + "/versions/{version}/replicas",
    tags=["Model"],
    summary="How many replicas a version is to have, for an autoscaler that applies the number.",
    name="get_decided_replicas",
    response_model=DecidedReplicas,
)
async def _decided(backend: Api, tenant: str, model: str, version: str, key: ModelKey) -> Response:
    return in_json({"model": f"{tenant}/{model}", **backend.models.decided(key, version)})


@router.put(
    _ROOT + "/versions/{version}/scale",
    tags=["Model"],
    summary="Set the replicas of a version.",
    name="scale_model_version",
    openapi_extra=described(ScaleBody),
    response_model=ModelDocument | WritePlan,
)
async def _scale(
    request: Request,
    backend: Api,
    version: str,
    key: ModelKey,
    body: Annotated[ScaleBody, Depends(body_of(ScaleBody, _SUBJECT))],
    write: AsAsked,
) -> Response:
    answer = await backend.actions.scale(key, version, body.replicas, write)
    note(request, key, answer)
    return respond(answer)


@router.put(
    _ROOT + "/versions/{version}/autoscale",
    tags=["Model"],
    summary="Have signals decide on the replicas of a version.",
    name="autoscale_model_version",
    openapi_extra=described(VersionAutoscale),
    response_model=ModelDocument | WritePlan,
)
async def _autoscale(
    request: Request,
    backend: Api,
    version: str,
    key: ModelKey,
    body: Annotated[VersionAutoscale, Depends(body_of(VersionAutoscale, _SUBJECT))],
    write: AsAsked,
) -> Response:
    asked = body.model_dump(mode="json", by_alias=True, exclude_unset=True)
    answer = await backend.actions.autoscale(key, version, asked, write)
    note(request, key, answer)
    return respond(answer)


@router.delete(
    _ROOT + "/versions/{version}/autoscale",
    tags=["Model"],
    summary="End the autoscaling of a version; its replicas stay.",
    name="end_model_version_autoscale",
    response_model=ModelDocument | WritePlan,
)
async def _fixed(request: Request, backend: Api, version: str, key: ModelKey, write: AsAsked) -> Response:
    answer = await backend.actions.autoscale(key, version, None, write)
    note(request, key, answer)
    return respond(answer)


@router.put(
    _ROOT + "/traffic",
    tags=["Model"],
    summary="Move a model's traffic between its versions.",
    name="shift_model_traffic",
    openapi_extra=described(TrafficBody),
    response_model=ModelDocument | WritePlan,
)
async def _traffic(
    request: Request,
    backend: Api,
    key: ModelKey,
    body: Annotated[TrafficBody, Depends(body_of(TrafficBody, _SUBJECT))],
    write: AsAsked,
    force: bool = False,
) -> Response:
    answer = await backend.actions.traffic(key, body.traffic, force, write)
    note(request, key, answer)
    return respond(answer)


@router.put(
    _ROOT + "/measurement",
    tags=["Model"],
    summary="Keep other measurements off a model for some seconds.",
    name="reserve_model_measurement",
    openapi_extra=described(MeasurementBody),
    response_model=MeasurementHold,
)
async def _reserve(
    backend: Api,
    key: ModelKey,
    body: Annotated[MeasurementBody, Depends(body_of(MeasurementBody, _SUBJECT))],
) -> Response:
    until = await backend.actions.reserve(key, body.holder, body.seconds)
    return in_json({"holder": body.holder, "until": until.isoformat(timespec="seconds")})


@router.put(
    _ROOT + "/pause",
    tags=["Model"],
    summary="Have a model's routes answer 503 with a reason, or open them again.",
    name="pause_model",
    openapi_extra=described(PauseBody),
    response_model=ModelDocument | WritePlan,
)
async def _pause(
    request: Request,
    backend: Api,
    key: ModelKey,
    body: Annotated[PauseBody, Depends(body_of(PauseBody, _SUBJECT))],
    write: AsAsked,
) -> Response:
    answer = await backend.actions.pause(key, body.paused, write)
    note(request, key, answer)
    return respond(answer)


@router.get(
    _ROOT + "/release",
    tags=["Model"],
    summary="How far requests have come to another version, and what the release waits for.",
    name="get_model_release",
    response_model=ModelRelease,
)
async def _release(backend: Api, tenant: str, model: str, key: ModelKey) -> Response:
    return in_json(release_view(f"{tenant}/{model}", backend.models.release(key)))


@router.put(
    _ROOT + "/release",
    tags=["Model"],
    summary="Promote, pause, resume, approve, abort or retry the release of a model.",
    name="steer_model_release",
    openapi_extra=described(ReleaseBody),
    response_model=ModelDocument | ReleasePlan,
)
async def _steer(
    request: Request,
    backend: Api,
    key: ModelKey,
    body: Annotated[ReleaseBody, Depends(body_of(ReleaseBody, _SUBJECT))],
    match: Match = None,
    reason: Reason = "",
    dry_run: DryRun = False,
) -> Response:
    asked = WriteRequest(dry_run, match, change_by(request, reason, ""))
    answer = await backend.actions.release(key, body.action, asked)
    if dry_run:
        return in_json(answer)
    note(request, key, answer)
    return respond(answer)
