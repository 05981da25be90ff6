"""Pages of single lists: claims of hosts, where manifests go, what the cluster lacks, who may do what."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from k8s_manager.console import ROOT
from k8s_manager.console.page import page, searched
from k8s_manager.console.pages.page_window import window
from k8s_manager.console.site import ConsoleSite, reader_of
from k8s_manager.doctor.checks import GRAVITY


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    return [
        Route(f"{ROOT}/claims", site.read(claims)),
        Route(f"{ROOT}/git", site.read(git)),
        Route(f"{ROOT}/doctor", site.read(doctor)),
        Route(f"{ROOT}/access", site.read(access)),
        Route(f"{ROOT}/account", site.read(account)),
    ]


async def claims(request: Request) -> Response:
    """Show whose each host is."""
    wanted = searched(request)
    found = await reader_of(request).api.items("/v1/claims")
    if wanted:
        found = [one for one in found if wanted in f"{one['host']} {one['tenant']}".lower()]
    shown = window(found, request.query_params.get("page", "1"))
    return page(request, "claims.html", title="Hosts", shown=shown, wanted=wanted)


async def doctor(request: Request) -> Response:
    """Show what the manager finds of its cluster, by area, what is worst first."""
    report = await reader_of(request).api.get("/v1/doctor")
    by_area: dict[str, list[Mapping[str, str]]] = {}
    for one in report["items"]:
        by_area.setdefault(one["check"], []).append(one)
    groups = [(area, sorted(found, key=_gravity)) for area, found in by_area.items()]
    groups.sort(key=lambda group: _gravity(group[1][0]))
    counts = Counter(one["level"] for one in report["items"])
    return page(request, "doctor.html", title="Doctor", report=report, groups=groups, counts=counts)


def _gravity(finding: Mapping[str, str]) -> int:
    """Return a figure that is the lower, the worse a finding is."""
    return -GRAVITY.index(finding["level"])


async def git(request: Request) -> Response:
    """Show how far manifests have come."""
    found = await reader_of(request).api.get("/v1/git")
    return page(request, "git.html", title="Git", found=found)


async def access(request: Request) -> Response:
    """Show who was granted which role where."""
    wanted = searched(request)
    found = [one for one in await reader_of(request).api.items("/v1/grants") if wanted in _words(one)]
    shown = window(found, request.query_params.get("page", "1"))
    return page(request, "access.html", title="Access", shown=shown, wanted=wanted)


def _words(grant: Mapping[str, Any]) -> str:
    spec = grant["spec"]
    people = [*(spec.get("users") or []), *(spec.get("groups") or []), *(spec.get("tenants") or [])]
    return " ".join([grant["metadata"]["name"], spec["role"], *people]).lower()


async def account(request: Request) -> Response:
    """Show who the reader is, and what it may do."""
    found = await reader_of(request).api.get("/v1/whoami")
    return page(request, "account.html", title="Your account", found=found)
