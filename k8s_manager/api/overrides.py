"""Overrides in the REST API: as documents under `/v1/overrides`, and the short way for one model."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from fastapi import Depends, FastAPI, Request, Response

from istio_templates.documents.fields import seconds
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.backend import Backend
from k8s_manager.api.body import mapping
from k8s_manager.api.openapi import BODIES
from k8s_manager.api.options import DryRun
from k8s_manager.overriding import override_name
from k8s_manager.rights import SYSTEM

NOBODY = "a holder of the API token"
LONGEST = 86_400
_FIELDS = ("perReplicaQps", "total", "mode", "action")
_ROOT = "/v1/tenants/{tenant}/models/{model}/limit/override"


def key_of(tenant: str, model: str) -> ObjectKey:
    """Return the key of the override of one model that the short way writes."""
    return ObjectKey("LimitOverride", SYSTEM, override_name({"tenant": tenant, "model": model}))


def add(app: FastAPI, backend: Backend, identified: Callable[..., Any]) -> None:
    """Add the routes of one model's override."""
    options: dict[str, Any] = {"tags": ["LimitOverride"], "dependencies": [Depends(identified)]}

    @app.get(_ROOT, summary="The override of a model that was set here.", **options)
    async def get(tenant: str, model: str) -> Response:
        return _json(backend.one(key_of(tenant, model)))

    @app.put(_ROOT, summary="Override a model's limit for a time.", openapi_extra=BODIES["override"], **options)
    async def put(request: Request, tenant: str, model: str, dry_run: DryRun = False) -> Response:
        key = key_of(tenant, model)
        spec = spec_of(await mapping(request), tenant, model, datetime.now(UTC))
        answer, created = await backend.put(key, {"spec": spec}, dry_run, None)
        return _json(answer, 201 if created and not dry_run else 200)

    @app.delete(_ROOT, summary="End the override of a model.", **options)
    async def delete(tenant: str, model: str) -> Response:
        return _json(await backend.delete(key_of(tenant, model), False, False), 202)


def spec_of(body: Manifest, tenant: str, model: str, now: datetime) -> Manifest:
    """Return the spec of a LimitOverride from the short form: a change, `reason`, `ttl`, perhaps `author`."""
    subject = f"override of {tenant}/{model}"
    if unknown := sorted(body.keys() - {*_FIELDS, "reason", "ttl", "author"}):
        allowed = ", ".join(_FIELDS)
        raise Invalid(subject, [Problem(unknown[0], f"is unknown; send one of {allowed}, with reason and ttl")])
    changes = {name: body[name] for name in _FIELDS if name in body}
    said = {"author": body.get("author", NOBODY), "reason": body.get("reason")}
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


def _json(body: Manifest, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
