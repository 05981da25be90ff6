"""Overrides of limits: those that there are, and with the right to it their setting and their end."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from istio_templates.documents.fields import span
from k8s_manager.admission.rules.override_rules import override_name
from k8s_manager.console import ROOT
from k8s_manager.console.actions.form_refusal import RefusedForm, refused, require_confirmation
from k8s_manager.console.api_client import ApiRefusal
from k8s_manager.console.form import number
from k8s_manager.console.page import PageReader, link, page, searched
from k8s_manager.console.pages.fleet import namespaces
from k8s_manager.console.pages.overview import state_of
from k8s_manager.console.pages.page_window import window
from k8s_manager.console.site import ConsoleSite, form_of, reader_of
from k8s_manager.console.write_plan import WriteIntent, propose
from k8s_manager.world.installation import SYSTEM

EVERYTHING = "everything"
KILL_SWITCH = ("unlimited", "floor")
FORM = "override"
_TARGET = ("gateway", "tenant", "model")
_PLACES = {
    **{name: name for name in (*_TARGET, "scope", "reason", "confirm", "ttl")},
    "target": "scope",
    "everything": "scope",
    "expires": "ttl",
    "total": "value",
    "perReplicaQps": "value",
    "action": "sets",
    "mode": "sets",
}
"""The field of the form for each of the document's."""


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    one = f"{ROOT}/overrides"
    return [
        Route(one, site.read(overrides), methods=["GET"]),
        Route(one, site.write(proposed), methods=["POST"]),
        Route(f"{one}/end", site.write(end), methods=["POST"]),
    ]


async def overrides(request: Request) -> Response:
    """Show the overrides that there are."""
    return await _shown(request, RefusedForm())


async def proposed(request: Request) -> Response:
    """Show what an override would do, or the form again with what is wrong at its fields."""
    form = form_of(request)
    try:
        return await propose(request, _intent(reader_of(request), form))
    except ApiRefusal as refusal:
        return await _shown(request, RefusedForm.of(FORM, form, refusal, _PLACES))


async def end(request: Request) -> Response:
    """Show what the end of an override would do."""
    form = form_of(request)
    name, tenant = form.get("name", ""), form.get("tenant", "")
    owner = f"/v1/tenants/{quote(tenant, '')}" if tenant else "/v1"
    return await propose(
        request, WriteIntent(f"End override {name}", "DELETE", f"{owner}/overrides/{quote(name, '')}", None, _here())
    )


async def _shown(request: Request, form: RefusedForm) -> Response:
    reader, wanted = reader_of(request), searched(request)
    found = [one for one in await reader.api.items("/v1/overrides") if wanted in _words(one)]
    shown = window(found, request.query_params.get("page", "1"))
    owners = namespaces(await reader.api.items("/v1/tenants")) if shown.items else {}
    lines = [(one, state_of(one), _target(one), _end_of(one, owners, reader)) for one in shown.items]
    given = {"shown": shown, "lines": lines, "wanted": wanted, "refused": form}
    return page(request, "overrides.html", form.status, title="Overrides", **given)


def _end_of(override: Mapping[str, Any], owners: Mapping[str, str], reader: PageReader) -> str | None:
    """Return whose an override is that the reader may end: a tenant's, or "" for the operators'; None if it may not."""
    namespace = override["metadata"]["namespace"]
    if namespace == SYSTEM:
        return "" if reader.may("override") else None
    tenant = owners.get(namespace)
    return tenant if tenant and reader.may("operate", tenant) else None


def _target(override: Mapping[str, Any]) -> str:
    """Return in words which models an override is for."""
    target = override["spec"].get("target") or {}
    labels = [f"{name}={value}" for name, value in (target.get("labels") or {}).items()]
    named = [f"{part} {target[part]}" for part in _TARGET if target.get(part)]
    return ", ".join([*named, *labels]) or EVERYTHING


def _words(override: Mapping[str, Any]) -> str:
    spec = override["spec"]
    said = [override["metadata"]["name"], spec.get("reason", ""), spec.get("author", ""), _target(override)]
    return " ".join(said).lower()


def _here() -> str:
    return link("overrides")


def _intent(reader: PageReader, form: Mapping[str, str]) -> WriteIntent:
    """Return the write of an operators' override; raises `ApiRefusal`."""
    is_all, kind = form.get("scope") == EVERYTHING, form.get("sets", "")
    named = {part: form.get(part, "").strip() for part in _TARGET if form.get(part, "").strip()}
    if is_all and named:
        raise refused("scope", f"everything is not of a {' or '.join(named)}; empty these fields, or choose the other")
    if not is_all and not named:
        raise refused("scope", "name a gateway, a tenant or a model that it is for, or choose everything")
    if is_all or kind in KILL_SWITCH:
        require_confirmation(form, EVERYTHING if is_all else list(named.values())[-1])
    target: dict[str, Any] = {EVERYTHING: True} if is_all else named
    said = {"author": reader.session.user, "reason": form.get("reason", "").strip()}
    spec = {**said, "expires": end_of(reader, form.get("ttl", "").strip()), "target": target, **changes_of(form)}
    name = override_name(target)
    reason = said["reason"]
    return WriteIntent(f"Set override {name}", "PUT", f"/v1/overrides/{name}", {"spec": spec}, _here(), reason=reason)


def changes_of(form: Mapping[str, str]) -> dict[str, Any]:
    """Return what an override sets, as a form says it."""
    kind, value = form.get("sets", ""), form.get("value", "").strip()
    if kind in ("total", "perReplicaQps"):
        return {kind: number(value)}
    return {"action" if kind in ("freeze", *KILL_SWITCH) else "mode": kind}


def end_of(reader: PageReader, length: str) -> str:
    """Return when an override ends that lasts so long from now on; raises `ApiRefusal` for a length that is none."""
    try:
        return (reader.now + span(length)).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError) as error:
        raise refused("ttl", str(error)) from error
