"""Gateways: their pods, what they carry, and whether they run what was written."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from k8s_manager.console import ROOT
from k8s_manager.console.page import page
from k8s_manager.console.site import ConsoleSite, reader_of
from k8s_manager.document_state import state, trouble


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    return [
        Route(f"{ROOT}/gateways", site.read(gateways)),
        Route(f"{ROOT}/gateways/{{name}}", site.read(gateway)),
    ]


async def gateways(request: Request) -> Response:
    """Show all gateways."""
    found = await reader_of(request).api.items("/v1/gateways")
    lines = [(one, state(one), trouble(one)) for one in found]
    return page(request, "gateways.html", title="Gateways", lines=lines)


async def gateway(request: Request) -> Response:
    """Show one gateway."""
    api, name = reader_of(request).api, request.path_params["name"]
    document = await api.get(f"/v1/gateways/{name}")
    inventory = await api.get(f"/v1/gateways/{name}/objects")
    tenants = [one for one in await api.items("/v1/tenants") if one["spec"]["gateway"].get("name") == name]
    return page(
        request,
        "gateway.html",
        title=f"Gateway {name}",
        document=document,
        state=state(document),
        inventory=inventory,
        tenants=tenants,
    )
