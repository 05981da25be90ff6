"""What is done to a model: each action is proposed, shown as a plan, and applied when it is confirmed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from k8s_manager.console import ROOT
from k8s_manager.console.actions.document_form import FORM, differences, fields_of, patch_of
from k8s_manager.console.actions.form_refusal import RefusedForm, require_confirmation
from k8s_manager.console.actions.overrides import KILL_SWITCH, changes_of, end_of
from k8s_manager.console.api_client import ApiRefusal
from k8s_manager.console.page import link
from k8s_manager.console.pages.models import CHANGED, document_page, model_page, path_of
from k8s_manager.console.site import ConsoleSite, form_of, reader_of
from k8s_manager.console.write_plan import WriteIntent, propose

_PLACES = {
    **{name: name for name in ("replicas", "ttl", "reason", "confirm", "paused")},
    "expires": "ttl",
    "total": "value",
    "perReplicaQps": "value",
}
"""The field of a form for each of the API's."""


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    one = f"{ROOT}/tenants/{{tenant}}/models/{{model}}"
    actions: dict[str, Callable[[Request], WriteIntent]] = {
        "scale": _scale,
        "traffic": _traffic,
        "pause": _pause,
        "release": _release,
        "approval": _approval,
        "override": _override,
        "override/end": _end_override,
    }
    made = [Route(f"{one}/{name}", site.write(_action(name, made)), methods=["POST"]) for name, made in actions.items()]
    others = {"rollback": _back_to, "delete": _deleted, "document": _document, "fields": _fields}
    return [*made, *(Route(f"{one}/{name}", site.write(done), methods=["POST"]) for name, done in others.items())]


def _action(name: str, made: Callable[[Request], WriteIntent]) -> Callable[[Request], Any]:
    """Return what shows the plan of an action, or the model's page again with what was typed and why it is refused."""

    async def proposed(request: Request) -> Response:
        try:
            return await propose(request, made(request))
        except ApiRefusal as refusal:
            return await model_page(request, _refused(name, form_of(request), refusal))

    return proposed


def _refused(action: str, form: Mapping[str, str], refusal: ApiRefusal) -> RefusedForm:
    name = f"scale.{form.get('version', '')}" if action == "scale" else action
    weights = [field for field in form if field.startswith("weight.")]
    places = {f"traffic[{row}].weight": field for row, field in enumerate(weights)}
    return RefusedForm.of(name, form, refusal, {**_PLACES, **places})


def _intent(request: Request, title: str, method: str, tail: str, body: Any, **more: str) -> WriteIntent:
    place = request.path_params
    back = link("tenants", place["tenant"], "models", place["model"])
    reason = form_of(request).get("reason", "").strip()
    subject = f"{place['tenant']}/{place['model']}"
    given = {"back": back, "reason": reason, **more}
    return WriteIntent(f"{title} {subject}", method, path_of(request) + tail, body, **given)


def _scale(request: Request) -> WriteIntent:
    form = form_of(request)
    version, count = form.get("version", ""), form.get("replicas", "")
    body = {"replicas": _whole(count, "replicas")}
    return _intent(request, f"Scale {version} to {count} replicas:", "PUT", f"/versions/{version}/scale", body)


def _traffic(request: Request) -> WriteIntent:
    form = form_of(request)
    shares = [
        {"version": name.removeprefix("weight."), "weight": _whole(value, "weight")}
        for name, value in form.items()
        if name.startswith("weight.")
    ]
    more = {"query": "force=true"} if form.get("force") else {}
    return _intent(request, "Move traffic of", "PUT", "/traffic", {"traffic": shares}, **more)


def _pause(request: Request) -> WriteIntent:
    reason = form_of(request).get("paused", "").strip()
    title = "Pause" if reason else "Open again"
    return _intent(request, title, "PUT", "/pause", {"paused": reason or None})


def _release(request: Request) -> WriteIntent:
    action = form_of(request).get("action", "")
    return _intent(request, f"{action.capitalize()} the release of", "PUT", "/release", {"action": action})


def _approval(request: Request) -> WriteIntent:
    place, form = request.path_params, form_of(request)
    name, of = form.get("name", ""), form.get("of", "")
    path = f"/v1/tenants/{quote(place['tenant'], '')}/modelversions/{quote(name, '')}/pin/approval"
    return replace(_intent(request, f"Approve the pin {name} of", "PUT", "", {"of": of}), path=path)


def _override(request: Request) -> WriteIntent:
    form = form_of(request)
    body: dict[str, Any] = {"reason": form.get("reason", "").strip(), **_end(request, form.get("ttl", "").strip())}
    if form.get("sets") in KILL_SWITCH:
        require_confirmation(form, request.path_params["model"])
    body |= changes_of(form)
    return _intent(request, "Override the limit of", "PUT", "/limit/override", body)


def _end(request: Request, ttl: str) -> dict[str, str]:
    """Return when an override ends, which a plan has to know; a length that is none goes to the API, which says so."""
    try:
        return {"expires": end_of(reader_of(request), ttl)}
    except ApiRefusal:
        return {"ttl": ttl}


def _end_override(request: Request) -> WriteIntent:
    return _intent(request, "End the override of", "DELETE", "/limit/override", None)


async def _back_to(request: Request) -> Response:
    """Propose the revision that a form names."""
    revision = _whole(form_of(request).get("revision", ""), "revision")
    title = f"Go back to revision {revision} of"
    return await propose(request, _intent(request, title, "POST", "/rollback", {"revision": revision}))


async def _deleted(request: Request) -> Response:
    """Propose the deletion; where the name was not typed, show the document again."""
    back = link("tenants", request.path_params["tenant"])
    try:
        require_confirmation(form_of(request), request.path_params["model"])
        return await propose(request, _intent(request, "Delete", "DELETE", "", None, back=back))
    except ApiRefusal as refusal:
        return await document_page(request, problem=refusal)


async def _document(request: Request) -> Response:
    """Propose a document as it was typed; what the API refuses is shown beside it, and of a document that another has
    changed meanwhile what sending it now would change."""
    form = form_of(request)
    intent = _intent(request, "Change", "PUT", "", form.get("text", ""), match=form.get("match", "") or "*")
    try:
        return await propose(request, intent)
    except ApiRefusal as refusal:
        return await document_page(request, form, refusal)


async def _fields(request: Request) -> Response:
    """Propose what was typed into the form of the document; what the API refuses is shown at its field."""
    form, api = form_of(request), reader_of(request).api
    spec = (await api.get(path_of(request)))["spec"]
    match = form.get("match", "") or "*"
    try:
        intent = _intent(request, "Change", "PATCH", "", {"spec": patch_of(spec, form)}, match=match)
        return await propose(request, intent)
    except ApiRefusal as refusal:
        places = {one.path: one.path for one in fields_of(spec)}
        refused = RefusedForm.of(FORM, form, refusal, places)
        if refusal.status == CHANGED:
            refused = replace(refused, problems={**refused.problems, **differences(spec, form)})
        return await document_page(request, refused=refused)


def _whole(text: str, name: str) -> Any:
    """Return a whole number; what is none goes to the API as it is, which says what is wrong."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text or name
