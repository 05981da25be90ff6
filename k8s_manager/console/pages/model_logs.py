"""The log of a model's pods: the last lines, and those that come, as server-sent events."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from k8s_manager.console import ROOT
from k8s_manager.console.api_client import ApiRefusal
from k8s_manager.console.page import PageReader, page
from k8s_manager.console.pages.models import path_of
from k8s_manager.console.site import ConsoleSite, reader_of

LINES = "200"
"""Last lines of each pod."""


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    one = f"{ROOT}/tenants/{{tenant}}/models/{{model}}/logs"

    async def followed(request: Request) -> Response:
        words = _followed(site, reader_of(request), f"{path_of(request)}/logs", _asked(request))
        return StreamingResponse(words, media_type="text/event-stream")

    return [Route(one, site.read(logs)), Route(f"{one}/lines", site.read(followed))]


async def logs(request: Request) -> Response:
    """Show the last lines of the model's pods."""
    found = await reader_of(request).api.get(f"{path_of(request)}/logs", **_asked(request))
    pod = request.query_params.get("pod", "")
    return page(request, "logs.html", title="Logs", lines=found["items"], pod=pod, **request.path_params)


async def _followed(site: ConsoleSite, reader: PageReader, path: str, asked: dict[str, Any]) -> AsyncIterator[bytes]:
    """Yield the lines as the API sends them, behind a word that they begin; a refusal is a word too. It ends with the
    session."""
    yield b"retry: 5000\nevent: begin\ndata: now\n\n"
    try:
        async for piece in reader.api.stream(path, {**asked, "follow": "true"}):
            if not reader.session.holds(site.now()):
                return
            yield b"event: beat\ndata: now\n\n" if piece.startswith(b":") else piece
    except ApiRefusal as refusal:
        yield b"event: refused\ndata: %s\n\n" % orjson.dumps(refusal.detail)


def _asked(request: Request) -> dict[str, str]:
    """Return what is asked of the API: the last lines, of all pods or of one."""
    pod = request.query_params.get("pod", "")
    return {"tail": LINES, **({"pod": pod} if pod else {})}
