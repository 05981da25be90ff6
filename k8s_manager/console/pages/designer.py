"""The model designer: a form that makes a Model's document step by step, checked as it is typed, and ends in a plan."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from istio_templates.yaml_text import yaml_text
from k8s_manager.console import ROOT
from k8s_manager.console.api_client import ApiRefusal
from k8s_manager.console.match_form import ROWS
from k8s_manager.console.page import link, page
from k8s_manager.console.pages.model_form import FIELDS, START, document_of, placed
from k8s_manager.console.site import ConsoleSite, form_of, reader_of
from k8s_manager.console.write_plan import WriteIntent, propose

NAMELESS = "unnamed"
"""In place of a name that is still missing, so that the rest can be checked."""


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    one = f"{ROOT}/tenants/{{tenant}}/design"
    return [
        Route(one, site.read(design), methods=["GET"]),
        Route(one, site.write(proposed), methods=["POST"]),
        Route(f"{one}/check", site.write(check), methods=["POST"]),
    ]


async def design(request: Request) -> Response:
    """Show the form as it begins."""
    hosts = await _hosts(request)
    return _shown(request, {**START, "host": hosts[0] if hosts else ""}, hosts)


async def check(request: Request) -> Response:
    """Show what the form makes, and what the API says of it."""
    form = form_of(request)
    problems = await _taken(request, form)
    if not problems:
        reply = await _intent(request, form).send(reader_of(request).api, dryRun="true")
        problems = {} if reply.is_good else _of(reply.refusal, form)
    return page(request, "design_draft.html", fields=list(FIELDS), **_draft(form, problems), **request.path_params)


async def proposed(request: Request) -> Response:
    """Show the plan, or the form again with what is wrong at its fields."""
    form = form_of(request)
    missing = {} if form.get("name", "").strip() else {"name": ["is missing; give the model a name"]}
    if problems := missing or await _taken(request, form):
        return _shown(request, form, await _hosts(request), problems, 422)
    try:
        return await propose(request, _intent(request, form))
    except ApiRefusal as refusal:
        return _shown(request, form, await _hosts(request), _of(refusal, form), refusal.status)


def _intent(request: Request, form: Mapping[str, str]) -> WriteIntent:
    tenant, name = request.path_params["tenant"], form.get("name", "").strip() or NAMELESS
    path = f"/v1/tenants/{tenant}/models/{name}"
    back = link("tenants", tenant, "models", name)
    reason = form.get("reason", "").strip()
    return WriteIntent(f"Make {tenant}/{name}", "PUT", path, {"spec": document_of(form)}, back, reason=reason)


async def _taken(request: Request, form: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the problem of a name that another model has: a form makes new ones only."""
    intent = _intent(request, form)
    reply = await reader_of(request).api.call("GET", intent.path)
    return {"name": ["is another model's; choose a name of its own"]} if reply.is_good else {}


async def _hosts(request: Request) -> list[str]:
    document = await reader_of(request).api.get(f"/v1/tenants/{request.path_params['tenant']}")
    return [one["name"] for one in document["spec"].get("hosts") or []]


def _of(refusal: ApiRefusal, form: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the problems by field of the form."""
    return placed(refusal.problems, form) or {"": [refusal.detail]}


def _draft(form: Mapping[str, str], problems: Mapping[str, list[str]]) -> dict[str, Any]:
    named = {"metadata": {"name": form.get("name", "")}, "spec": document_of(form)}
    return {"text": yaml_text([named]).removeprefix("---\n"), "problems": problems}


def _shown(
    request: Request,
    form: Mapping[str, str],
    hosts: list[str],
    problems: Mapping[str, list[str]] | None = None,
    status: int = 200,
) -> Response:
    draft = _draft(form, problems or {})
    return page(
        request,
        "design.html",
        status,
        title="Design a model",
        form=form,
        hosts=hosts,
        rows=ROWS,
        **draft,
        **request.path_params,
    )
