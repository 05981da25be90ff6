"""The REST API as an application."""

from typing import cast

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from k8s_manager.api import guard, problems
from k8s_manager.api.application_parts import ApplicationParts
from k8s_manager.api.audit import Audit
from k8s_manager.api.callers import caller_routes
from k8s_manager.api.exchange import Exchanges
from k8s_manager.api.guard import Guard
from k8s_manager.api.openapi import describe
from k8s_manager.api.registry import selection_routes, version_routes
from k8s_manager.api.routes import (
    audit_trail,
    bundles,
    claims,
    documents,
    events,
    history,
    installation,
    inventory,
    models,
    overrides,
    probes,
    simulation,
    statistics,
    whoami,
)
from k8s_manager.api.services.backend import Backend
from k8s_manager.api.streams.event_stream import StreamTerms
from k8s_manager.runtime.metrics import MetricsPage
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder

ROUTES = tuple(
    route
    for part in (
        probes,
        documents,
        models,
        overrides,
        version_routes,
        selection_routes,
        caller_routes,
        events,
        simulation,
        bundles,
        whoami,
        installation,
        audit_trail,
        claims,
        history,
        inventory,
        statistics,
    )
    for route in part.router.routes
)
"""The routes, which all applications of a process share."""


def build(
    backend: Backend, guarding: Guard, audit: Audit, terms: StreamTerms, spans: SpanRecorder = NO_SPANS
) -> FastAPI:
    """Return the application; streams are on these terms, and each call is a span."""
    app = FastAPI(
        title="Tidegate",
        version="v1",
        docs_url=None,
        redoc_url=None,
        telemetry=cast(TelemetryConfig, spans.served_calls()),
    )
    app.state.parts = ApplicationParts(backend, guarding, audit, terms, MetricsPage(probes.registries))
    problems.install(app)
    app.add_middleware(Exchanges, audit=audit, spans=spans)
    app.router.routes.extend(ROUTES)  # not include_router, which analyses every route again
    guard.install(app)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app
