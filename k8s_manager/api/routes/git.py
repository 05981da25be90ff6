"""Where the manifests go, and how far they have come."""

from fastapi import FastAPI, Response

from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.fleet import ManifestDelivery
from k8s_manager.api.services.backend import Backend


def add(app: FastAPI, backend: Backend) -> None:
    """Add the route."""

    @app.get(
        "/v1/git",
        tags=["Git"],
        summary="Which commit is rendered, which is applied, what is out of step.",
        name="get_git",
        response_model=ManifestDelivery,
    )
    async def git() -> Response:
        if backend.tree is None:
            return in_json({"target": "cluster"})
        return in_json({"target": "git", **await backend.tree.read()})
