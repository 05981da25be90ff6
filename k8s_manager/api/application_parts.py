"""What the endpoints take from the application that serves a call.

The framework analyses the signature of each endpoint when its route is made, which costs more than all else that makes
an application. So routes are made once in a process, where their modules are imported, and all applications share them:
a route holds nothing of an application, and finds the parts of the one that it serves by the request.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from k8s_manager.api.audit import Audit
from k8s_manager.api.guard import Guard
from k8s_manager.api.openapi import PROBLEMS
from k8s_manager.api.services.backend import Backend
from k8s_manager.api.streams.event_stream import StreamTerms
from k8s_manager.runtime.metrics import MetricsPage


@dataclass(frozen=True, slots=True)
class ApplicationParts:
    """What one application has of its own."""

    backend: Backend
    guard: Guard
    audit: Audit
    terms: StreamTerms
    metrics: MetricsPage


def parts_of(request: Request) -> ApplicationParts:
    """Return the parts of the application that serves a request."""
    parts: ApplicationParts = request.app.state.parts
    return parts


# Dependencies that are not async would be run in another thread, for every call.
async def _backend(request: Request) -> Backend:
    return parts_of(request).backend


async def _audit(request: Request) -> Audit:
    return parts_of(request).audit


async def _terms(request: Request) -> StreamTerms:
    return parts_of(request).terms


async def _metrics(request: Request) -> MetricsPage:
    return parts_of(request).metrics


async def _guarded(request: Request) -> None:
    await parts_of(request).guard(request)


Api = Annotated[Backend, Depends(_backend)]
"""The services, as the parameter of an endpoint; the next three likewise."""
Trail = Annotated[Audit, Depends(_audit)]
Terms = Annotated[StreamTerms, Depends(_terms)]
Metrics = Annotated[MetricsPage, Depends(_metrics)]


def api_router() -> APIRouter:
    """Return a router for the routes of one module: each stands behind the guard, and may answer with any problem."""
    return APIRouter(
        dependencies=[Depends(_guarded)],
        responses=PROBLEMS,
        generate_unique_id_function=lambda route: route.name,
    )
