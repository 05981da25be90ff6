"""The routes of what belongs to a document: objects, pods with their reasons and logs, events, rollouts."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Annotated, Any

import orjson
from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from istio_templates.facts import ObjectKey
from k8s_manager.api.application_parts import Api, Terms, api_router
from k8s_manager.api.document_paths import PATHS, GatewayKey, ModelKey, place_of
from k8s_manager.api.guard import caller_of
from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.documents import KINDS
from k8s_manager.api.schemas.inventory import DocumentInventory, GatewayDataplane, RolloutList
from k8s_manager.api.schemas.statistics import LogLineList
from k8s_manager.api.services.backend import Backend
from k8s_manager.api.streams.event_stream import proved
from k8s_manager.api.streams.event_view import event_line, is_shown
from k8s_manager.authz.roles import Right
from k8s_manager.statistics.pod_logs import LogQuery

router = api_router()
SHOWN = 50
"""Events of one document, the last ones."""
_OWNERS = ("InferenceGateway", "Tenant", "Model")
MOST_TAIL = 10_000
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "With `follow=true` lines as server-sent events, as they come; else lines so far, as JSON.",
          "content": {"text/event-stream": {"schema": {"type": "string"}}}},
}  # fmt: skip
Tail = Annotated[int, Query(ge=0, le=MOST_TAIL, description="The last lines of each pod.")]
Since = Annotated[int | None, Query(ge=1, le=10**9, description="Only what was written in the last so many seconds.")]
Previous = Annotated[bool, Query(description="The log of the container's former run.")]
Container = Annotated[str, Query(max_length=63, pattern="^[-a-z0-9]*$", description="Absent: the model's.")]
PodName = Annotated[str, Query(max_length=253, description="Of this pod only.")]


@router.get(
    "/v1/tenants/{tenant}/rollouts",
    tags=["Model"],
    summary="How far the replicas of a tenant's models are those of their documents.",
    name="list_model_rollouts",
    response_model=RolloutList,
)
async def _rollouts(backend: Api, tenant: str) -> Response:
    return in_json({"items": backend.inventory.rollouts(backend.documents.namespace(tenant))})


def _objects(kind: str) -> None:
    @router.get(
        PATHS[kind] + "/{name}/objects",
        tags=[kind],
        summary=f"What belongs to a {kind}: objects, pods with their reasons, the last events.",
        name=f"list_{KINDS[kind].noun}_objects",
        response_model=DocumentInventory,
    )
    async def objects(request: Request, backend: Api, key: Annotated[ObjectKey, Depends(place_of(kind))]) -> Response:
        subject = f"{key.namespace}/{key.name}" if key.namespace else key.name
        found = [
            event_line(event)
            for event in backend.events.recent(subject)
            if event.details.get("kind", key.kind) == key.kind
            and is_shown(event, caller_of(request), backend.documents.tenant_of)
        ]
        body = {"objects": backend.inventory.objects(key), "pods": backend.inventory.pods(key)}
        return in_json({**body, "events": found[-SHOWN:]})


@router.get(
    "/v1/gateways/{name}/dataplane",
    tags=["InferenceGateway"],
    summary="What runs at a gateway: its slots, what each pod runs of them, its load and certificates.",
    name="get_gateway_dataplane",
    response_model=GatewayDataplane,
)
async def _dataplane(backend: Api, key: GatewayKey) -> Response:
    backend.documents.live(key)
    return in_json(backend.gateways.dataplane(key.name))


@router.get(
    "/v1/tenants/{tenant}/models/{model}/logs",
    tags=["Model"],
    summary="What the pods of a model have written.",
    name="read_model_logs",
    response_model=LogLineList,
    responses=_STREAM,
)
async def _logs(
    request: Request,
    backend: Api,
    terms: Terms,
    tenant: str,
    key: ModelKey,
    tail: Tail = 100,
    since: Since = None,
    follow: bool = False,
    previous: Previous = False,
    container: Container = "",
    pod: PodName = "",
) -> Response:
    query = LogQuery(tail, since, previous, container)

    def pods() -> Sequence[ObjectKey]:
        return [one for one in _pods(backend, key) if not pod or one.name == pod]

    there = pods()  # a model that is none is said before a stream begins
    if not follow:
        return in_json({"items": [line.shown() for line in await backend.logs.recent(there, query)]})
    backend.logs.require_room()

    def may_read() -> bool:
        return bool(request.state.caller_now().may(Right.READ, tenant))

    lines = proved(_events(backend, pods, query, may_read), request.state.proved_again, terms)
    return StreamingResponse(lines, media_type="text/event-stream")


def _pods(backend: Backend, key: ObjectKey) -> list[ObjectKey]:
    return [ObjectKey("Pod", line["namespace"], line["name"]) for line in backend.inventory.pods(key)]


async def _events(
    backend: Backend, pods: Callable[[], Sequence[ObjectKey]], query: LogQuery, may_read: Callable[[], bool]
) -> AsyncGenerator[bytes]:
    async for line in backend.logs.follow(pods, query):
        if not may_read():
            return
        yield b"data: %s\n\n" % orjson.dumps(line.shown())


for _kind in _OWNERS:
    _objects(_kind)
