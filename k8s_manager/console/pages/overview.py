"""The first page: what is asked, what is refused, and what is wrong now."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from k8s_manager.console import ROOT
from k8s_manager.console.page import link, page
from k8s_manager.console.pages.fleet import ModelLine, demand_now, model_lines, namespaces
from k8s_manager.console.site import ConsoleSite, reader_of
from k8s_manager.document_state import state, trouble

MOST_SHOWN = 25


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that is wrong with a document, and where to look."""

    kind: str
    name: str
    address: str
    state: str
    sentences: Sequence[str]


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    return [Route(ROOT, _to_overview), Route(f"{ROOT}/", site.read(overview))]


async def _to_overview(_: Request) -> Response:
    return RedirectResponse(f"{ROOT}/", 307)


async def overview(request: Request) -> Response:
    """Show the overview."""
    reader = reader_of(request)
    if not reader.grants:
        return RedirectResponse(link("account"), 303)
    demand, tenants = await asyncio.gather(
        demand_now(reader.api, reader.now.timestamp()), reader.api.items("/v1/tenants")
    )
    models = await model_lines(reader.api, namespaces(tenants), demand)
    gateways = await reader.api.items("/v1/gateways") if reader.is_of_fleet else []
    overrides = await reader.api.items("/v1/overrides")
    concerns = [*_of_documents("gateway", gateways), *_of_documents("tenant", tenants), *_of_models(models)]
    busiest = sorted(models, key=lambda line: -line.requests.demand)[:MOST_SHOWN]
    return page(
        request,
        "overview.html",
        title="Overview",
        total=demand.total,
        gaps=demand.gaps,
        releases=[line for line in models if line.release][:MOST_SHOWN],
        concerns=concerns[:MOST_SHOWN],
        more_concerns=max(0, len(concerns) - MOST_SHOWN),
        busiest=[line for line in busiest if line.requests.demand] or busiest[:5],
        counts={"gateways": len(gateways), "tenants": len(tenants), "models": len(models)},
        overrides=[one for one in overrides if state_of(one) == "Active"],
    )


def state_of(override: Mapping[str, Any]) -> str:
    """Return whether an override is in force, in a word."""
    conditions = {one["type"]: one for one in (override.get("status") or {}).get("conditions", [])}
    active = conditions.get("Active")
    return "Unknown" if active is None else "Active" if active["status"] == "True" else str(active["reason"])


def _of_documents(kind: str, documents: Sequence[Mapping[str, Any]]) -> list[Concern]:
    found = []
    for one in documents:
        if sentences := trouble(dict(one)):
            name = one["metadata"]["name"]
            found.append(Concern(kind, name, link(f"{kind}s", name), state(dict(one)), sentences))
    return found


def _of_models(models: Sequence[ModelLine]) -> list[Concern]:
    return [
        Concern(
            "model",
            f"{line.tenant}/{line.name}",
            link("tenants", line.tenant, "models", line.name),
            line.state,
            line.trouble,
        )
        for line in models
        if line.trouble
    ]
