"""Several documents in one call: what they would change together, and the manifests that follow from them alone."""

import asyncio
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest
from k8s_manager.api.guard import caller_of
from k8s_manager.api.openapi import BODIES
from k8s_manager.api.problems import TooLarge
from k8s_manager.api.request_body import mapping
from k8s_manager.api.responses import in_json
from k8s_manager.api.routes import overrides
from k8s_manager.api.services.backend import Backend
from k8s_manager.client import MOST_TOGETHER
from k8s_manager.offline.offline_world import manifests

MOST_BYTES = 16 * 2**20
_SUBJECT = "the documents"


def add(app: FastAPI, backend: Backend) -> None:
    """Add the routes."""
    options: dict[str, Any] = {"openapi_extra": BODIES["documents"], "tags": ["Documents"]}
    turn = asyncio.Semaphore(1)

    @app.post("/v1/plan", summary="What writing these documents would change. Nothing is written.", **options)
    async def plan(request: Request) -> Response:
        found = await _documents(request)
        for raw in found:
            if raw.get("kind") == "LimitOverride":
                overrides.authored(raw, caller_of(request).identity)
        return in_json(await backend.plan(found))

    @app.post("/v1/render", summary="The manifests that follow from these documents alone.", **options)
    async def render(request: Request) -> Response:
        found = await _documents(request)
        async with turn:
            text = await asyncio.to_thread(_rendered, found)
        return Response(text, media_type="application/json")


def _rendered(found: list[Manifest]) -> bytes:
    parts, size = [], 0
    for obj in manifests(found):
        parts.append(orjson.dumps(obj))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise TooLarge(
                f"the manifests have more than {MOST_BYTES} bytes; use `tidegate render`, or send fewer documents"
            )
    return b'{"items":[' + b",".join(parts) + b"]}"


async def _documents(request: Request) -> list[Manifest]:
    body = await mapping(request)
    found = body.get("documents")
    if set(body) != {"documents"} or not isinstance(found, list) or not all(isinstance(raw, dict) for raw in found):
        raise Invalid(_SUBJECT, [Problem("documents", 'send {"documents": [...]}, each as you would apply it')])
    if not 0 < len(found) <= MOST_TOGETHER:
        raise Invalid(_SUBJECT, [Problem("documents", f"has {len(found)}; send 1 to {MOST_TOGETHER}")])
    return found
