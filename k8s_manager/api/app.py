"""The REST API's routes."""

from typing import cast

from fastapi import Depends, FastAPI
from fastapi.telemetry import TelemetryConfig

from k8s_manager.api import guard, problems
from k8s_manager.api.audit import Audit
from k8s_manager.api.callers import caller_routes
from k8s_manager.api.exchange import Exchanges
from k8s_manager.api.guard import Guard
from k8s_manager.api.openapi import PROBLEMS, describe
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
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder


def build(
    backend: Backend, guarding: Guard, audit: Audit, terms: StreamTerms, spans: SpanRecorder = NO_SPANS
) -> FastAPI:
    """Return the application; streams are on these terms, and each call is a span."""
    app = FastAPI(
        title="Tidegate",
        version="v1",
        docs_url=None,
        redoc_url=None,
        responses=PROBLEMS,
        dependencies=[Depends(guarding)],
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
        telemetry=cast(TelemetryConfig, spans.served_calls()),
    )
    problems.install(app)
    app.add_middleware(Exchanges, audit=audit, spans=spans)
    probes.add(app, backend)
    documents.add(app, backend)
    models.add(app, backend)
    overrides.add(app, backend)
    version_routes.add(app, backend)
    selection_routes.add(app, backend)
    caller_routes.add(app, backend)
    events.add(app, backend, terms)
    simulation.add(app, backend)
    bundles.add(app, backend)
    whoami.add(app)
    installation.add(app, backend)
    audit_trail.add(app, audit)
    claims.add(app, backend)
    history.add(app, backend)
    inventory.add(app, backend, terms)
    statistics.add(app, backend)
    guard.install(app)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app
