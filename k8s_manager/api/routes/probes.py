"""The routes that Kubernetes and Prometheus call."""

import asyncio
import hmac
from typing import Any

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry

from k8s_manager.api.application_parts import Api, Metrics, api_router
from k8s_manager.api.authn.authenticators import Unidentified
from k8s_manager.api.guard import bearer_of
from k8s_manager.api.openapi import PROBLEMS
from k8s_manager.runtime.metrics import MEDIA_TYPE, REGISTRY, TASKS

router = api_router()
_UNREADY: dict[str, Any] = {
    "description": "Not yet, and why.",
    "content": {**PROBLEMS[503]["content"], "text/plain": {"schema": {"type": "string"}}},
}


@router.get("/healthz", response_class=PlainTextResponse, summary="Is the process alive?", name="healthz")
async def _healthz() -> str:
    return "ok\n"


@router.get(
    "/readyz",
    response_class=PlainTextResponse,
    summary="Has everything been read?",
    name="readyz",
    responses={503: _UNREADY},
)
async def _readyz(backend: Api) -> Response:
    reason = backend.documents.unready()
    return PlainTextResponse("ok\n" if reason is None else f"{reason}\n", 200 if reason is None else 503)


@router.get("/metrics", response_class=PlainTextResponse, summary="Metrics in Prometheus' format.", name="metrics")
async def _metrics(request: Request, page: Metrics) -> Response:
    _require(request.app.state.metrics_token, bearer_of(request))
    return PlainTextResponse(await page.text(), media_type=MEDIA_TYPE)


def registries() -> list[CollectorRegistry]:
    """Return the registries that `/metrics` shows, with what is counted only then."""
    TASKS.set(len(asyncio.all_tasks()))
    return [REGISTRY]


def _require(token: str | None, given: str | None) -> None:
    if token is not None and not hmac.compare_digest((given or "").encode(errors="replace"), token.encode()):
        raise Unidentified("metrics ask for a token here; send that of --metrics-token-file as a bearer token")
