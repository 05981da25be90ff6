"""Tenants: their hosts, models and owners, and the range in which their people may set limits."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from istio_templates.facts import Manifest
from k8s_manager.console import ROOT
from k8s_manager.console.page import page, searched
from k8s_manager.console.pages.fleet import demand_now, model_line, namespaces
from k8s_manager.console.pages.page_window import window
from k8s_manager.console.site import ConsoleSite, reader_of
from k8s_manager.document_state import state, trouble


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    return [
        Route(f"{ROOT}/tenants", site.read(tenants)),
        Route(f"{ROOT}/tenants/{{tenant}}", site.read(tenant)),
    ]


async def tenants(request: Request) -> Response:
    """Show the tenants, those with what is searched for in name, host or owner."""
    reader = reader_of(request)
    wanted = searched(request)
    found = await reader.api.items("/v1/tenants")
    if wanted:
        found = [one for one in found if wanted in _words(one)]
    shown = window(found, request.query_params.get("page", "1"))
    lines = [(one, state(one), trouble(one)) for one in shown.items]
    return page(request, "tenants.html", title="Tenants", lines=lines, shown=shown, wanted=wanted)


async def tenant(request: Request) -> Response:
    """Show one tenant."""
    reader, name = reader_of(request), request.path_params["tenant"]
    document = await reader.api.get(f"/v1/tenants/{name}")
    inventory, models, overrides, claims, demand = await asyncio.gather(
        reader.api.get(f"/v1/tenants/{name}/objects"),
        reader.api.items(f"/v1/tenants/{name}/models"),
        reader.api.items(f"/v1/tenants/{name}/overrides"),
        reader.api.items("/v1/claims"),
        demand_now(reader.api, reader.now.timestamp()),
    )
    wanted = searched(request)
    lines = [model_line(name, one, demand) for one in models]
    shown = window([line for line in lines if wanted in line.name], request.query_params.get("page", "1"))
    return page(
        request,
        "tenant.html",
        title=f"Tenant {name}",
        document=document,
        namespace=next(iter(namespaces([document]))),
        ceiling=(document["spec"].get("rateLimit") or {}).get("ceiling"),
        taken=sum(line.limit.get("total") or 0 for line in lines),
        state=state(document),
        inventory=inventory,
        overrides=overrides,
        claims=_claims_of(name, claims),
        gaps=demand.gaps,
        shown=shown,
        wanted=wanted,
    )


def _claims_of(tenant: str, claims: Sequence[Manifest]) -> list[Manifest]:
    """Return the hosts of a tenant, and those of others of which paths are delegated to it."""
    own = [one for one in claims if one["tenant"] == tenant]
    return own + [one for one in claims if any(way["tenant"] == tenant for way in one["delegations"])]


def _words(document: Manifest) -> str:
    spec = document["spec"]
    hosts = [one["name"] for one in spec.get("hosts") or []]
    return " ".join([document["metadata"]["name"], *hosts, *(spec.get("owners") or [])]).lower()
