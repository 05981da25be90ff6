"""The route that tells what happens."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import orjson
from fastapi import Depends, FastAPI, Query, Response
from fastapi.responses import StreamingResponse

from istio_templates.facts import Manifest
from k8s_manager.api.backend import Backend


def add(app: FastAPI, backend: Backend, identified: Callable[..., Any]) -> None:
    """Add the route."""

    @app.get(
        "/v1/events",
        summary="What happens, as server-sent events.",
        tags=["Events"],
        dependencies=[Depends(identified)],
    )
    async def events(after: Annotated[int, Query(ge=0)] = 0, follow: bool = True) -> Response:
        if follow:
            return StreamingResponse(_stream(backend, after), media_type="text/event-stream")
        items = [_event(event) for event in backend.events.recent() if event.id > after]
        return Response(orjson.dumps({"items": items}), media_type="application/json")


async def _stream(backend: Backend, after: int) -> AsyncIterator[bytes]:
    async for event in backend.events.listen(after):
        yield b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.type.encode(), orjson.dumps(_event(event)))


def _event(event: Any) -> Manifest:
    return {name: getattr(event, name) for name in ("id", "time", "type", "object", "message", "details")}
