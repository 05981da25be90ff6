"""The routes of a model's selection: what its strategy says, and what another one would say."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Response

from istio_templates.documents.versions.selection import VersionSelection
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.document_paths import ModelKey
from k8s_manager.api.openapi import described
from k8s_manager.api.request_body import body_of
from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.releases.selection import ModelSelection
from k8s_manager.api.services.backend import Backend
from k8s_manager.release.selection_status import selection_of, selection_sentences

router = api_router()
ROOT = "/v1/tenants/{tenant}/models/{model}/selection"
_SUBJECT = "selection of {tenant}/{model}"


@router.get(
    ROOT,
    tags=["Model"],
    summary="Which version of a model should serve, and why.",
    name="explain_model_selection",
    response_model=ModelSelection,
)
async def _explained(backend: Api, tenant: str, model: str, key: ModelKey) -> Response:
    return in_json(_answer(backend, key, f"{tenant}/{model}", backend.models.spec(key).selection))


@router.post(
    ROOT,
    tags=["Model"],
    summary="Which version another selection would choose. Nothing is written.",
    name="try_model_selection",
    openapi_extra=described(VersionSelection),
    response_model=ModelSelection,
)
async def _tried(
    backend: Api,
    tenant: str,
    model: str,
    key: ModelKey,
    body: Annotated[VersionSelection, Depends(body_of(VersionSelection, _SUBJECT))],
) -> Response:
    return in_json(_answer(backend, key, f"{tenant}/{model}", body))


def _answer(backend: Backend, key: ObjectKey, subject: str, selection: VersionSelection | None) -> Manifest:
    spec, status = backend.models.spec(key), backend.documents.live(key).get("status") or {}
    if selection is None:
        said = f"{subject} has no selection: with spec.selection a strategy says which of its versions should serve."
        return {"model": subject, "selection": None, "explanation": [said]}
    # What was chosen before keeps its moments only where the same document chooses again.
    before = status if selection == spec.selection else {**status, "selection": None}
    versions, figures = backend.models.registered(key), backend.models.figures(key)
    approvers = backend.documents.pin_approvers(key.namespace)
    found = selection_of(spec, selection, before, versions, datetime.now(UTC), figures, approvers)
    explanation = [*selection_sentences(subject, found), *_of_registry(spec.selection, status)]
    return {"model": subject, "selection": found, "explanation": explanation}


def _of_registry(selection: VersionSelection | None, status: Manifest) -> list[str]:
    """Return what the explanation says of the registered model that versions come from."""
    if selection is None or selection.registry is None:
        return []
    conditions = status.get("conditions") or ()
    found = next((str(one["message"]) for one in conditions if one["type"] == "RegistryRead"), "")
    return [f"{found[:1].upper()}{found[1:]}."] if found else []
