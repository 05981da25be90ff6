"""Overrides in the REST API: as documents under `/v1/overrides`, and the short way for one model."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from istio_templates.documents.fields import seconds
from istio_templates.documents.override import moment
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.admission.rules.override_rules import override_name
from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.concurrency.preconditions import WHATEVER
from k8s_manager.api.exchange import note
from k8s_manager.api.guard import caller_of, change_by
from k8s_manager.api.openapi import created, deleting, described
from k8s_manager.api.request_body import body_of
from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.bodies import OverrideBody
from k8s_manager.api.schemas.documents import LimitOverrideDocument
from k8s_manager.api.schemas.plans import BundlePlan, WritePlan
from k8s_manager.api.services.backend import Backend
from k8s_manager.api.services.write_request import AsAsked
from k8s_manager.authz.roles import Caller, Identity, Right
from k8s_manager.world.installation import SYSTEM

router = api_router()
LONGEST = 86_400
_SUBJECT = "override of {tenant}/{model}"
_ROOT = "/v1/tenants/{tenant}/models/{model}/limit/override"


def key_of(tenant: str, model: str, namespace: str = SYSTEM) -> ObjectKey:
    """Return the key of the override of one model that the short way writes: an operator's, or in the tenant's
    namespace its own people's."""
    return ObjectKey("LimitOverride", namespace, override_name({"tenant": tenant, "model": model}))


def authored(body: Manifest, identity: Identity) -> None:
    """Write the caller into a LimitOverride as its author. Only the manager's own token, which has no name, may say who
    holds it."""
    spec = body.get("spec")
    if isinstance(spec, dict) and (identity.is_person or not spec.get("author")):
        spec["author"] = identity.user


def is_visible(override: Manifest, caller: Caller, backend: Backend) -> bool:
    """Tell whether a caller may see an override: who reads the fleet sees all, others those of their tenants and those
    of operators that may be for their models."""
    namespace = override["metadata"]["namespace"]
    if caller.may(Right.READ):
        return True
    if namespace != SYSTEM:
        tenant = backend.documents.tenant_of(namespace)
        return tenant is not None and caller.may(Right.READ, tenant)
    tenant = (override["spec"].get("target") or {}).get("tenant")
    return tenant is None or caller.may(Right.READ, tenant)


def _own(backend: Backend, tenant: str, model: str) -> ObjectKey:
    return key_of(tenant, model, backend.documents.namespace(tenant))


def _in_force(backend: Backend, tenant: str, model: str) -> ObjectKey:
    """Return the operators' override, or where there is only one of the tenant's own people, that."""
    operators, tenants = key_of(tenant, model), _own(backend, tenant, model)
    return tenants if backend.documents.holds(tenants) and not backend.documents.holds(operators) else operators


@router.get(
    _ROOT,
    tags=["LimitOverride"],
    summary="The override of a model that was set here.",
    name="get_model_override",
    response_model=LimitOverrideDocument,
)
async def _get(backend: Api, tenant: str, model: str) -> Response:
    return in_json(backend.documents.one(_in_force(backend, tenant, model)))


async def _tenants_key(backend: Api, tenant: str, model: str) -> ObjectKey:
    return _own(backend, tenant, model)  # also for operators: there has to be such a tenant


@router.put(
    _ROOT,
    tags=["LimitOverride"],
    summary="Override a model's limit for a time.",
    name="set_model_override",
    openapi_extra=described(OverrideBody),
    response_model=LimitOverrideDocument | WritePlan,
    responses=created(LimitOverrideDocument),
)
async def _put(
    request: Request,
    backend: Api,
    tenant: str,
    model: str,
    tenants: Annotated[ObjectKey, Depends(_tenants_key)],
    body: Annotated[OverrideBody, Depends(body_of(OverrideBody, _SUBJECT))],
    write: AsAsked,
) -> Response:
    is_operator = caller_of(request).may(Right.OVERRIDE, tenant)
    key = key_of(tenant, model) if is_operator else tenants
    document = {"spec": spec_of(body, tenant, model, datetime.now(UTC))}
    authored(document, caller_of(request).identity)
    change = change_by(request, document["spec"]["reason"], "")
    asked = replace(write, match=write.match or WHATEVER, change=change)
    answer, is_new = await backend.writer.put(key, document, asked)
    note(request, key, answer)
    return in_json(answer, 201 if is_new and not write.dry_run else 200)


@router.delete(
    _ROOT,
    tags=["LimitOverride"],
    summary="End the override of a model.",
    name="end_model_override",
    response_model=BundlePlan,
    responses=deleting(),
)
async def _delete(request: Request, backend: Api, tenant: str, model: str, write: AsAsked) -> Response:
    is_operator = caller_of(request).may(Right.OVERRIDE, tenant)
    key = _in_force(backend, tenant, model) if is_operator else _own(backend, tenant, model)
    answer = await backend.deletion.delete(key, False, write)
    note(request, key, answer)
    return in_json(answer, 200 if write.dry_run else 202)


def spec_of(body: OverrideBody, tenant: str, model: str, now: datetime) -> Manifest:
    """Return the spec of a LimitOverride from the short form."""
    changes = body.model_dump(by_alias=True, exclude_unset=True, exclude={"author", "reason", "ttl", "expires"})
    said = {"author": body.author, "reason": body.reason}
    target = {"tenant": tenant, "model": model}
    return {**said, "expires": _end(body, now, f"override of {tenant}/{model}"), "target": target, **changes}


def _end(body: OverrideBody, now: datetime, subject: str) -> str:
    """Return when an override ends; raises `Invalid`."""
    if bool(body.ttl) is bool(body.expires):
        raise Invalid(subject, [Problem("ttl", "is missing; give ttl, how long it holds, or expires, when it ends")])
    return _expires(body.ttl, now, subject) if body.ttl else _until(str(body.expires), now, subject)


def _until(expires: str, now: datetime, subject: str) -> str:
    try:
        length = (moment(expires) - now).total_seconds()
    except ValueError as error:
        raise Invalid(subject, [Problem("expires", str(error))]) from error
    if not 0 < length <= LONGEST:
        message = f"{expires!r} is not within a day from now; a longer one is written under /v1/overrides"
        raise Invalid(subject, [Problem("expires", message)])
    return expires


def _expires(ttl: Any, now: datetime, subject: str) -> str:
    try:
        length = seconds(str(ttl))
    except ValueError as error:
        raise Invalid(subject, [Problem("ttl", str(error))]) from error
    if not 0 < length <= LONGEST:
        message = f"{ttl!r} is not between 0 and a day; a longer one is written under /v1/overrides, with expires"
        raise Invalid(subject, [Problem("ttl", message)])
    return (now + timedelta(seconds=float(length))).isoformat(timespec="milliseconds")
