"""Gateways: their pods, what they carry, and whether they run what was written."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from k8s_manager.console import ROOT
from k8s_manager.console.page import page, searched
from k8s_manager.console.pages.page_window import window
from k8s_manager.console.site import ConsoleSite, reader_of
from k8s_manager.document_state import state, trouble

Item = Mapping[str, Any]
MOST_NAMED = 8
"""Models of a slot that a page names; the API has all."""
MOST_CERTIFICATES = 50
"""Certificates that a page shows, those with trouble and the first to end; the API has all."""


class GatewayPodLine(NamedTuple):
    """A gateway pod: as Kubernetes has it, what the config probe found, and its share of the requests."""

    pod: Item
    probe: Item
    load: Item
    since: str | None
    """Since when it runs what it runs now, or does not answer."""
    wrong: list[Item]
    """The slots that it does not run as they are written."""


class SlotLine(NamedTuple):
    """A slot, with the first of its models as (tenant, name), and how many more there are."""

    slot: Item
    models: list[tuple[str, str]]
    more: int


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    return [
        Route(f"{ROOT}/gateways", site.read(gateways)),
        Route(f"{ROOT}/gateways/{{name}}", site.read(gateway)),
    ]


async def gateways(request: Request) -> Response:
    """Show all gateways."""
    wanted = searched(request)
    found = [one for one in await reader_of(request).api.items("/v1/gateways") if wanted in _words(one)]
    shown = window(found, request.query_params.get("page", "1"))
    lines = [(one, state(one), trouble(one)) for one in shown.items]
    return page(request, "gateways.html", title="Gateways", lines=lines, shown=shown, wanted=wanted)


def _words(document: Item) -> str:
    addresses = (document.get("status") or {}).get("addresses") or []
    return " ".join([document["metadata"]["name"], document["spec"]["namespace"], *addresses]).lower()


async def gateway(request: Request) -> Response:
    """Show one gateway."""
    api, name = reader_of(request).api, request.path_params["name"]
    document, inventory, runs = await asyncio.gather(
        api.get(f"/v1/gateways/{name}"),
        api.get(f"/v1/gateways/{name}/objects"),
        api.get(f"/v1/gateways/{name}/dataplane"),
    )
    tenants = [one for one in await api.items("/v1/tenants") if one["spec"]["gateway"].get("name") == name]
    return page(
        request,
        "gateway.html",
        title=f"Gateway {name}",
        document=document,
        state=state(document),
        inventory=inventory,
        tenants=tenants,
        pods=_pods(inventory["pods"], runs),
        slots=_slots(runs["slots"], tenants),
        empty=sum(not slot["limits"] and not is_odd(slot) for slot in runs["slots"]),
        certificates=[
            (one, _days(one["notAfter"], reader_of(request).now)) for one in runs["certificates"][:MOST_CERTIFICATES]
        ],
        runs=runs,
    )


def is_odd(slot: Item) -> bool:
    """Tell whether a slot is shown though nothing is limited there."""
    return bool(slot["pendingSince"] or slot["rolledBack"])


def _pods(pods: Iterable[Item], runs: Item) -> list[GatewayPodLine]:
    probes = {one["pod"]: one for one in runs["pods"]}
    loads = {one["pod"]: one for one in runs["load"]["pods"]}
    nothing: Item = {"state": "NotAsked", "silentSince": None, "slots": []}
    return [_pod_line(pod, probes.get(pod["name"], nothing), loads.get(pod["name"], {})) for pod in pods]


def _pod_line(pod: Item, probe: Item, load: Item) -> GatewayPodLine:
    since = probe["silentSince"] or max((one["since"] for one in probe["slots"] if one["since"]), default=None)
    return GatewayPodLine(pod, probe, load, since, [one for one in probe["slots"] if one["state"] != "Applied"])


def _slots(slots: Iterable[Item], tenants: Iterable[Item]) -> list[SlotLine]:
    """Return the slots that are worth a line; a model is named by its tenant's namespace."""
    of_namespace = {one["spec"].get("namespace") or one["metadata"]["name"]: one["metadata"]["name"] for one in tenants}
    return [_slot(slot, of_namespace) for slot in slots if slot["limits"] or is_odd(slot)]


def _slot(slot: Item, of_namespace: Mapping[str, str]) -> SlotLine:
    named = [name.partition("/") for name in slot["models"][:MOST_NAMED]]
    models = [(of_namespace.get(namespace, namespace), model) for namespace, _, model in named]
    return SlotLine(slot, models, max(0, len(slot["models"]) - MOST_NAMED))


def _days(moment: str | None, now: datetime) -> int | None:
    """Return how many whole days are left until a moment; below 0 where it is over, None where there is none."""
    return (datetime.fromisoformat(moment).astimezone(UTC) - now).days if moment else None
