"""The route by which a measurement keeps a model to itself."""

from fastapi import FastAPI, Request, Response

from istio_templates.errors import Invalid, Problem
from istio_templates.facts import ObjectKey
from k8s_manager.api.openapi import BODIES
from k8s_manager.api.request_body import mapping
from k8s_manager.api.responses import in_json
from k8s_manager.api.services.backend import Backend

LONGEST = 60


def add(app: FastAPI, backend: Backend) -> None:
    """Add the route."""

    @app.put(
        "/v1/tenants/{tenant}/models/{model}/measurement",
        summary="Keep other measurements off a model for some seconds.",
        openapi_extra=BODIES["measurement"],
        tags=["Model"],
    )
    async def reserve(request: Request, tenant: str, model: str) -> Response:
        key = ObjectKey("Model", backend.namespace(tenant), model)
        body = await mapping(request)
        holder, seconds = body.get("holder"), body.get("seconds")
        if not (isinstance(holder, str) and 8 <= len(holder) <= 64 and holder.isascii() and holder.isalnum()):
            raise Invalid(str(key), [Problem("holder", "give 8 to 64 letters and digits that nobody else uses")])
        if type(seconds) is not int or not 0 <= seconds <= LONGEST:
            raise Invalid(str(key), [Problem("seconds", f"give a whole number from 0 (it is over) to {LONGEST}")])
        until = await backend.reserve(key, holder, seconds)
        told = {"holder": holder, "until": until.isoformat(timespec="seconds")}
        return in_json(told)
