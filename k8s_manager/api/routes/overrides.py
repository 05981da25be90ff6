"""Overrides in the REST API: as documents under `/v1/overrides`, and the short way for one model."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request, Response

from istio_templates.documents.fields import seconds
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.admission.rules.override_rules import override_name
from k8s_manager.api.exchange import note
from k8s_manager.api.guard import caller_of, change_by
from k8s_manager.api.openapi import BODIES, GOING, MADE
from k8s_manager.api.parameters import DryRun
from k8s_manager.api.preconditions import WHATEVER
from k8s_manager.api.request_body import mapping
from k8s_manager.api.responses import in_json
from k8s_manager.api.services.backend import Backend
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.authz.roles import Identity, Right
from k8s_manager.world.installation import SYSTEM

LONGEST = 86_400
_FIELDS = ("perReplicaQps", "total", "mode", "action")
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


def add(app: FastAPI, backend: Backend) -> None:
    """Add the routes of one model's override."""
    options: dict[str, Any] = {"tags": ["LimitOverride"]}

    def own(tenant: str, model: str) -> ObjectKey:
        return key_of(tenant, model, backend.namespace(tenant))

    def in_force(tenant: str, model: str) -> ObjectKey:
        """Return the operators' override, or where there is only one of the tenant's own people, that."""
        operators, tenants = key_of(tenant, model), own(tenant, model)
        return tenants if backend.holds(tenants) and not backend.holds(operators) else operators

    @app.get(_ROOT, summary="The override of a model that was set here.", **options)
    async def get(tenant: str, model: str) -> Response:
        return in_json(backend.one(in_force(tenant, model)))

    @app.put(
        _ROOT,
        summary="Override a model's limit for a time.",
        openapi_extra=BODIES["override"],
        responses=MADE,
        **options,
    )
    async def put(request: Request, tenant: str, model: str, dry_run: DryRun = False) -> Response:
        is_operator = caller_of(request).may(Right.OVERRIDE, tenant)
        tenants = own(tenant, model)  # also for operators: there has to be such a tenant
        key = key_of(tenant, model) if is_operator else tenants
        body = {"spec": spec_of(await mapping(request), tenant, model, datetime.now(UTC))}
        authored(body, caller_of(request).identity)
        why = change_by(request, body["spec"]["reason"], "")
        answer, created = await backend.put(key, body, WriteRequest(dry_run, WHATEVER, why))
        note(request, key, answer)
        return in_json(answer, 201 if created and not dry_run else 200)

    @app.delete(_ROOT, summary="End the override of a model.", responses=GOING, **options)
    async def delete(request: Request, tenant: str, model: str) -> Response:
        is_operator = caller_of(request).may(Right.OVERRIDE, tenant)
        key = in_force(tenant, model) if is_operator else own(tenant, model)
        answer = await backend.delete(key, False, WriteRequest())
        note(request, key, answer)
        return in_json(answer, 202)


def spec_of(body: Manifest, tenant: str, model: str, now: datetime) -> Manifest:
    """Return the spec of a LimitOverride from the short form: a change, `reason`, `ttl`, perhaps `author`."""
    subject = f"override of {tenant}/{model}"
    if unknown := sorted(body.keys() - {*_FIELDS, "reason", "ttl", "author"}):
        allowed = ", ".join(_FIELDS)
        raise Invalid(subject, [Problem(unknown[0], f"is unknown; send one of {allowed}, with reason and ttl")])
    changes = {name: body[name] for name in _FIELDS if name in body}
    said = {"author": body.get("author"), "reason": body.get("reason")}
    problems = [Problem(name, "is missing; it is required") for name in ("reason", "ttl") if not body.get(name)]
    if problems:
        raise Invalid(subject, problems)
    target = {"tenant": tenant, "model": model}
    return {**said, "expires": _expires(body["ttl"], now, subject), "target": target, **changes}


def _expires(ttl: Any, now: datetime, subject: str) -> str:
    try:
        length = seconds(str(ttl))
    except ValueError as error:
        raise Invalid(subject, [Problem("ttl", str(error))]) from error
    if not 0 < length <= LONGEST:
        message = f"{ttl!r} is not between 0 and a day; a longer one is written under /v1/overrides, with expires"
        raise Invalid(subject, [Problem("ttl", message)])
    return (now + timedelta(seconds=float(length))).isoformat(timespec="milliseconds")
