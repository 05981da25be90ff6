"""What is done to a model: each action is proposed, shown as a plan, and applied when it is confirmed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from istio_templates.documents.fields import span
from k8s_manager.console import ROOT
from k8s_manager.console.api_client import ApiRefusal
from k8s_manager.console.form import number
from k8s_manager.console.page import link, page
from k8s_manager.console.pages.models import path_of
from k8s_manager.console.site import ConsoleSite, form_of, reader_of
from k8s_manager.console.write_plan import WriteIntent, propose


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
        "rollback": _rollback,
        "delete": _delete,
    }
    made = [Route(f"{one}/{name}", site.write(_action(made)), methods=["POST"]) for name, made in actions.items()]
    return [*made, Route(f"{one}/document", site.write(_document), methods=["POST"])]


def _action(made: Callable[[Request], WriteIntent]) -> Callable[[Request], Any]:
    async def proposed(request: Request) -> Response:
        return await propose(request, made(request))

    return proposed


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
    kind, value = form.get("sets", ""), form.get("value", "").strip()
    if kind in ("total", "perReplicaQps"):
        body[kind] = number(value)
    elif kind == "unlimited":
        _confirmed(form, request.path_params["model"])
        body["action"] = "unlimited"
    elif kind in ("freeze", "floor"):
        body["action"] = kind
    else:
        body["mode"] = kind
    return _intent(request, "Override the limit of", "PUT", "/limit/override", body)


def _end(request: Request, ttl: str) -> dict[str, str]:
    """Return when an override ends, which a plan has to know; a length that is none goes to the API, which says so."""
    try:
        end = reader_of(request).now + span(ttl)
    except (ValueError, OverflowError):
        return {"ttl": ttl}
    return {"expires": end.isoformat(timespec="milliseconds")}


def _end_override(request: Request) -> WriteIntent:
    return _intent(request, "End the override of", "DELETE", "/limit/override", None)


def _rollback(request: Request) -> WriteIntent:
    number = _whole(form_of(request).get("revision", ""), "revision")
    return _intent(request, f"Go back to revision {number} of", "POST", "/rollback", {"revision": number})


def _delete(request: Request) -> WriteIntent:
    _confirmed(form_of(request), request.path_params["model"])
    return _intent(request, "Delete", "DELETE", "", None, back=link("tenants", request.path_params["tenant"]))


async def _document(request: Request) -> Response:
    """Propose a document as it was typed; what the API refuses is shown beside it."""
    form = form_of(request)
    intent = _intent(request, "Change", "PUT", "", form.get("text", ""), match=form.get("match", "") or "*")
    try:
        return await propose(request, intent)
    except ApiRefusal as refusal:
        given = {"text": form.get("text", ""), "match": form.get("match", ""), "why": intent.reason}
        return page(
            request, "document.html", refusal.status, title="Document", problem=refusal, **given, **request.path_params
        )


def _whole(text: str, name: str) -> Any:
    """Return a whole number; what is none goes to the API as it is, which says what is wrong."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text or name


def _confirmed(form: Mapping[str, str], name: str) -> None:
    """Raise unless the name was typed."""
    if form.get("confirm", "").strip() != name:
        raise HTTPException(403, f"type the name {name} to confirm this; go back, and send it again")
