"""One model: its chart, replicas, versions, conditions, history, and the document itself."""

import asyncio
from collections.abc import Iterable, Mapping
from difflib import unified_diff
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from collectors.request_statistics.series import MINUTE
from istio_templates.arms.arm_facts import WEIGHTS
from istio_templates.yaml_text import yaml_text
from k8s_manager.console import ROOT
from k8s_manager.console.actions.document_form import FORM, fields_of
from k8s_manager.console.actions.form_refusal import RefusedForm
from k8s_manager.console.api_client import ApiClient, ApiRefusal
from k8s_manager.console.page import page
from k8s_manager.console.pages.figures import (
    SPANS,
    CountedSpan,
    RequestSum,
    StepLine,
    chart_spans,
    series,
    step_line,
    sum_of,
    sums_by_arm,
    sums_by_version,
)
from k8s_manager.console.pages.fleet import counts_of
from k8s_manager.console.site import ConsoleSite, reader_of
from k8s_manager.document_state import last_evaluations, state
from k8s_manager.statistics.stats_query import counted_minute

CHANGED = 412
"""Status of a write of a document that is not any more as it was read."""
MOST_REGISTERED = 50
"""Registered versions that a page shows; `tidegate versions list` has all."""


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    one = f"{ROOT}/tenants/{{tenant}}/models/{{model}}"
    return [
        Route(one, site.read(model)),
        Route(f"{one}/series", site.read(model_series)),
        Route(f"{one}/history", site.read(history)),
        Route(f"{one}/history/{{revision:int}}", site.read(revision)),
        Route(f"{one}/document", site.read(document)),
    ]


def path_of(request: Request) -> str:
    """Return where the model of a page stands in the API."""
    return f"/v1/tenants/{request.path_params['tenant']}/models/{request.path_params['model']}"


async def model(request: Request) -> Response:
    """Show the model."""
    return await model_page(request, RefusedForm())


async def model_page(request: Request, refused: RefusedForm) -> Response:
    """Show the model, with what was typed into a form that was refused, and why."""
    reader, path = reader_of(request), path_of(request)
    found = await reader.api.get(path)
    limit, explanation, scaling, ready, release, inventory, replicas, usage, registered = await asyncio.gather(
        reader.api.get(f"{path}/limit"),
        reader.api.get(f"{path}/explain"),
        reader.api.get(f"{path}/explain", about="replicas"),
        reader.api.get(f"{path}/explain", about="ready"),
        reader.api.get(f"{path}/release"),
        reader.api.get(f"{path}/objects"),
        reader.api.get(f"{path}/replicas"),
        _usage(reader.api, path),
        _registered(reader.api, **request.path_params),
    )
    start, end = counted_minute(reader.now.timestamp())
    counts, gaps = await counts_of(reader.api, f"{path}/stats", start, end, MINUTE)
    versions = await _by_version(reader.api, path, found["spec"], start, end)
    arms = await _by_arm(reader.api, path, found["spec"], start, end)
    span = request.query_params.get("span", "15m")
    return page(
        request,
        "model.html",
        refused.status,
        refused=refused,
        title=f"{request.path_params['tenant']}/{request.path_params['model']}",
        **request.path_params,
        document=found,
        state=state(found),
        weights=_weights(found, release["release"]),
        release=release["release"],
        release_sentences=release["explanation"],
        limit=limit,
        explanation=explanation["explanation"],
        scaling=scaling,
        warmth=ready,
        inventory=inventory,
        replicas=replicas["items"],
        requests=sum_of(counts, end - start),
        by_version=versions,
        by_arm=arms,
        weights_name=WEIGHTS,
        registered=registered,
        gaps=gaps,
        usage={one["pod"]: one for one in usage["items"]},
        usage_gaps=usage["gaps"],
        span=span if span in SPANS else "15m",
        spans=list(SPANS),
    )


def _weights(document: Mapping[str, Any], release: Mapping[str, Any] | None) -> dict[str, int]:
    """Return by which weights requests go: those of a release, or else the document's."""
    shares = release["weights"] if release else document["spec"].get("traffic") or []
    return {one["version"]: one["weight"] for one in shares}


async def model_series(request: Request) -> Response:
    """Return the columns of a model's chart as JSON."""
    reader, path = reader_of(request), path_of(request)
    spans, gaps = list[CountedSpan](), list[str]()
    for start, end, step in chart_spans(reader.now.timestamp(), request.query_params.get("span", "")):
        counts, missing = await counts_of(reader.api, f"{path}/stats", start, end, step)
        spans.append(CountedSpan(start, end, step, counts))
        gaps += missing
    limit, inventory, scaling = await asyncio.gather(
        reader.api.get(f"{path}/limit"),
        reader.api.get(f"{path}/objects"),
        reader.api.get(f"{path}/explain", about="replicas"),
    )
    events = inventory["events"]
    lines = {"limit": step_line(events, "limit", "total", limit.get("total")), **_replica_lines(events, scaling)}
    columns = series(spans, lines)
    marks = [event for event in events if event["type"] in ("limit", "scale")]
    shown = [{"time": event["time"], "kind": event["type"], "message": event["message"]} for event in marks]
    return JSONResponse({"columns": columns, "changes": shown, "gaps": list(dict.fromkeys(gaps))})


def _replica_lines(events: Iterable[Mapping[str, Any]], scaling: Mapping[str, Any]) -> dict[str, StepLine]:
    """Return the lines of replicas that are asked for and that are warm; none where nothing scales the model."""
    versions = scaling["versions"]
    if len(versions) != 1:
        return {}
    (one,) = versions
    return {
        "replicas": step_line(events, "scale", "replicas", one["replicas"]),
        "warm": step_line(events, "replicas", "ready", one["warm"]),
    }


async def _by_version(
    api: ApiClient, path: str, spec: Mapping[str, Any], start: int, end: int
) -> dict[str, RequestSum] | None:
    """Return what became of the requests of each version; None for a model of one version."""
    names = [one["name"] for one in spec.get("versions") or []]
    if len(names) < 2:
        return None
    counts, _ = await counts_of(api, f"{path}/stats", start, end, MINUTE, by="version")
    return {**{name: RequestSum(end - start) for name in names}, **sums_by_version(counts, end - start)}


async def _by_arm(api: ApiClient, path: str, spec: Mapping[str, Any], start: int, end: int) -> dict[str, RequestSum]:
    """Return what became of the requests of each arm, and of those that the weights divided; empty without matches."""
    matches = spec.get("trafficMatches") or []
    if not matches:
        return {}
    names = [*(one.get("name") or one["version"] for one in matches), WEIGHTS]
    counts, _ = await counts_of(api, f"{path}/stats", start, end, MINUTE, by="arm")
    return {**{name: RequestSum(end - start) for name in names}, **sums_by_arm(counts, end - start)}


async def _registered(api: ApiClient, tenant: str, model: str) -> list[tuple[Any, str, list[Any]]]:
    """Return the registered versions of a model, the youngest first, each with its state and its last evaluations."""
    found = [one for one in await api.items(f"/v1/tenants/{tenant}/modelversions") if one["spec"]["model"] == model]
    found.sort(key=lambda one: str(one["metadata"]["creationTimestamp"]), reverse=True)
    return [(one, state(one), last_evaluations(one["spec"])) for one in found[:MOST_REGISTERED]]


async def _usage(api: ApiClient, path: str) -> Any:
    """Return what the pods use, or why that is not known."""
    try:
        return await api.get(f"{path}/usage")
    except ApiRefusal as refusal:
        return {"items": [], "gaps": [refusal.detail]}


async def history(request: Request) -> Response:
    """Show the revisions of the model's document."""
    found = await reader_of(request).api.get(f"{path_of(request)}/history")
    return page(request, "history.html", title="History", revisions=found["items"], **request.path_params)


async def revision(request: Request) -> Response:
    """Show one revision, and what it has changed."""
    number = request.path_params["revision"]
    against = {"against": str(number - 1)} if number > 1 else {}
    api, path = reader_of(request).api, f"{path_of(request)}/history/{number}"
    try:
        found = await api.get(path, **against)
    except ApiRefusal:  # the one before is kept no longer
        found = await api.get(path)
    given = {"number": number, "found": found, "text": yaml_text([found["spec"]]).removeprefix("---\n")}
    place = {name: request.path_params[name] for name in ("tenant", "model")}
    return page(request, "revision.html", title=f"Revision {number}", **given, **place)


async def document(request: Request) -> Response:
    """Show the model's document, to be changed."""
    return await document_page(request)


async def document_page(
    request: Request,
    form: Mapping[str, str] | None = None,
    problem: ApiRefusal | None = None,
    refused: RefusedForm | None = None,
) -> Response:
    """Show the document as it is, or as it was typed into a `form` beside why the API refuses it. Where another has
    changed it meanwhile, also who did and what sending the form again would change; that then goes past the change."""
    reply = (await reader_of(request).api.call("GET", path_of(request))).required()
    now, form = _yaml(reply.body["spec"]), form or {}
    text, is_stale = form.get("text", now), problem is not None and problem.status == CHANGED
    return page(
        request,
        "document.html",
        refused.status if refused else problem.status if problem else 200,
        title="Document",
        text=text,
        match=reply.headers.get("etag", "") if is_stale else form.get("match", reply.headers.get("etag", "")),
        problem=problem,
        refused=refused or RefusedForm(),
        fields=fields_of(reply.body["spec"]),
        form_name=FORM,
        why=form.get("reason", "").strip(),
        change=await _last_change(request) if is_stale else None,
        difference="\n".join(unified_diff(now.splitlines(), text.splitlines(), "now", "as typed", lineterm=""))
        if is_stale
        else "",
        **request.path_params,
    )


async def _last_change(request: Request) -> Mapping[str, Any] | None:
    """Return the revision that holds now, as far as it is recorded yet."""
    try:
        found = (await reader_of(request).api.get(f"{path_of(request)}/history"))["items"]
    except ApiRefusal:
        return None
    return next(iter(found), None)


def _yaml(spec: Mapping[str, Any]) -> str:
    return yaml_text([{"spec": spec}]).removeprefix("---\n")
