"""The routes that Kubernetes and Prometheus call."""

from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest

from k8s_manager.api.openapi import PROBLEMS
from k8s_manager.api.services.backend import Backend
from k8s_manager.runtime.metrics import REGISTRY

_UNREADY: dict[str, Any] = {
    "description": "Not yet, and why.",
    "content": {**PROBLEMS[503]["content"], "text/plain": {"schema": {"type": "string"}}},
}


def add(app: FastAPI, backend: Backend) -> None:
    """Add the routes."""

    @app.get("/healthz", response_class=PlainTextResponse, summary="Is the process alive?", name="healthz")
    async def healthz() -> str:
        return "ok\n"

    @app.get(
        "/readyz",
        response_class=PlainTextResponse,
        summary="Has everything been read?",
        name="readyz",
        responses={503: _UNREADY},
    )
    async def readyz() -> Response:
        reason = backend.documents.unready()
        return PlainTextResponse("ok\n" if reason is None else f"{reason}\n", 200 if reason is None else 503)

    @app.get("/metrics", response_class=PlainTextResponse, summary="Metrics in Prometheus' format.", name="metrics")
    async def metrics() -> Response:
        return PlainTextResponse(generate_latest(REGISTRY), media_type="text/plain; version=0.0.4")
