"""What Kubernetes and Prometheus ask every process of a collector: whether it lives, whether it works, its metrics."""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CollectorRegistry, generate_latest

from k8s_manager.traces.spans import NO_SPANS, SpanRecorder

_TYPE = "text/plain; version=0.0.4"


def probed(
    title: str,
    problems: Callable[[], Sequence[str]],
    registries: Callable[[], Sequence[CollectorRegistry]],
    spans: SpanRecorder = NO_SPANS,
) -> FastAPI:
    """Return an application with these pages; it is ready while there are no problems. Metrics are as they are when
    they are asked for, and are written down beside the event loop. Calls of other pages are spans."""
    app = FastAPI(
        title=title,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry=cast(TelemetryConfig, spans.served_calls()),
    )

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok\n"

    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> Response:
        found = problems()
        return PlainTextResponse("; ".join(found or ["ok"]) + "\n", 503 if found else 200)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        pages = [await asyncio.to_thread(generate_latest, registry) for registry in registries()]
        return PlainTextResponse(b"".join(pages), media_type=_TYPE)

    return app
