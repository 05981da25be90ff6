"""The routes of what belongs to a document: objects, pods with their reasons, events, rollouts."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response

from istio_templates.facts import ObjectKey
from k8s_manager.api.document_paths import PATHS, place_of
from k8s_manager.api.guard import caller_of
from k8s_manager.api.responses import in_json
from k8s_manager.api.routes.events import event_line, is_shown
from k8s_manager.api.schemas.documents import KINDS
from k8s_manager.api.schemas.inventory import DocumentInventory, RolloutList
from k8s_manager.api.services.backend import Backend

SHOWN = 50
"""Events of one document, the last ones."""
_OWNERS = ("InferenceGateway", "Tenant", "Model")


def add(app: FastAPI, backend: Backend) -> None:
    """Add the routes."""
    for kind in _OWNERS:
        _objects(app, backend, kind)

    @app.get(
        "/v1/tenants/{tenant}/rollouts",
        tags=["Model"],
        summary="How far the replicas of a tenant's models are those of their documents.",
        name="list_model_rollouts",
        response_model=RolloutList,
    )
    async def rollouts(tenant: str) -> Response:
        return in_json({"items": backend.inventory.rollouts(backend.documents.namespace(tenant))})


def _objects(app: FastAPI, backend: Backend, kind: str) -> None:
    @app.get(
        PATHS[kind] + "/{name}/objects",
        tags=[kind],
        summary=f"What belongs to a {kind}: objects, pods with their reasons, the last events.",
        name=f"list_{KINDS[kind].noun}_objects",
        response_model=DocumentInventory,
    )
    async def objects(request: Request, key: Annotated[ObjectKey, Depends(place_of(kind, backend))]) -> Response:
        subject = f"{key.namespace}/{key.name}" if key.namespace else key.name
        found = [
            event_line(event)
            for event in backend.events.recent(subject)
            if event.details.get("kind", key.kind) == key.kind
            and is_shown(event, caller_of(request), backend.documents.tenant_of)
        ]
        body = {"objects": backend.inventory.objects(key), "pods": backend.inventory.pods(key)}
        return in_json({**body, "events": found[-SHOWN:]})
