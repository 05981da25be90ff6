"""The route that streams events."""

from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any

import orjson
from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from k8s_manager.api.application_parts import Api, Terms, api_router
from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.fleet import EventList
from k8s_manager.api.services.backend import Backend
from k8s_manager.api.streams.event_stream import proved
from k8s_manager.api.streams.event_view import event_line, is_shown
from k8s_manager.runtime.events import Event

router = api_router()
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events as they come; with `follow=false` those so far, as JSON.",
          "content": {"text/event-stream": {"schema": {"type": "string"}}}},
}  # fmt: skip


@router.get(
    "/v1/events",
    summary="What happens, as server-sent events.",
    tags=["Events"],
    name="list_events",
    response_model=EventList,
    responses=_STREAM,
)
async def _events(
    request: Request, backend: Api, terms: Terms, after: Annotated[int, Query(ge=0)] = 0, follow: bool = True
) -> Response:
    def shown(event: Event) -> bool:
        return is_shown(event, request.state.caller_now(), backend.documents.tenant_of)

    if follow:
        lines = proved(_stream(backend, after, shown), request.state.proved_again, terms)
        return StreamingResponse(lines, media_type="text/event-stream")
    items = [event_line(event) for event in backend.events.recent() if event.id > after and shown(event)]
    return in_json({"items": items})


async def _stream(backend: Backend, after: int, shown: Callable[[Event], bool]) -> AsyncGenerator[bytes]:
    async for event in backend.events.listen(after):
        if not shown(event):
            continue
        yield b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.type.encode(), orjson.dumps(event_line(event)))
