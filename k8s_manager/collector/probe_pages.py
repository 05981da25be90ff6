"""What Kubernetes and Prometheus ask every process of a collector: whether it lives, whether it works, its metrics."""

from collections.abc import Callable, Sequence
from typing import cast

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CollectorRegistry

from k8s_manager.runtime.metrics import MEDIA_TYPE, REGISTRY, MetricsPage
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder


def probed(
    title: str,
    problems: Callable[[], Sequence[str]],
    registries: Callable[[], Sequence[CollectorRegistry]],
    spans: SpanRecorder = NO_SPANS,
) -> FastAPI:
    """Return an application with these pages; it is ready while there are no problems. Metrics are at most a second
    old. Calls of other pages are spans, and what is counted of spans is among the metrics."""
    app = FastAPI(
        title=title,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry=cast(TelemetryConfig, spans.served_calls()),
    )
    of_spans = [REGISTRY] if spans.is_on else []
    page = MetricsPage(lambda: list(dict.fromkeys([*registries(), *of_spans])))

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok\n"

    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> Response:
        found = problems()
        return PlainTextResponse("; ".join(found or ["ok"]) + "\n", 503 if found else 200)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return PlainTextResponse(await page.text(), media_type=MEDIA_TYPE)

    return app
