"""The routes of documents: five verbs, alike for all kinds."""

from typing import Annotated

from fastapi import Depends, Request, Response

from istio_templates.errors import NotFound
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api import pages
from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.document_paths import ROOTS, namespace_of, place_of
from k8s_manager.api.exchange import note
from k8s_manager.api.guard import caller_of
from k8s_manager.api.openapi import BODIES, created, deleting
from k8s_manager.api.parameters import Cascade, Continue, Limit, Selector
from k8s_manager.api.request_body import DocumentBody
from k8s_manager.api.responses import respond
from k8s_manager.api.routes import overrides
from k8s_manager.api.schemas.documents import KINDS
from k8s_manager.api.schemas.plans import BundlePlan, WritePlan
from k8s_manager.api.services.document_bodies import shown
from k8s_manager.api.services.write_request import AsAsked
from k8s_manager.authz.roles import Right

router = api_router()


@router.get(
    "/v1/models",
    tags=["Model"],
    summary="List the models of all tenants that the caller may see.",
    name="list_all_models",
    response_model=KINDS["Model"].page,
)
async def _all_models(
    request: Request, backend: Api, limit: Limit = pages.MOST, after: Continue = None, selector: Selector = None
) -> Response:
    caller = caller_of(request)
    found = backend.documents.many("Model")
    if not caller.may(Right.READ):
        owners = {namespace: backend.documents.tenant_of(namespace) for namespace in map(_namespace, found)}
        found = [obj for obj in found if (owner := owners[_namespace(obj)]) and caller.may(Right.READ, owner)]
    return respond(pages.page(pages.selected(found, selector), limit, after, shown))


def _namespace(obj: Manifest) -> str:
    return str(obj["metadata"]["namespace"])


def _reads(path: str, kind: str, noun: str) -> None:
    types = KINDS[kind]
    place = place_of(kind)

    @router.get(
        path,
        tags=[kind],
        summary=f"List every {kind}.",
        name=f"list_{noun}s",
        response_model=types.page,
    )
    async def many(
        request: Request, backend: Api, limit: Limit = pages.MOST, after: Continue = None, selector: Selector = None
    ) -> Response:
        found = backend.documents.many(kind, namespace_of(request))
        if kind == "Tenant":
            found = [obj for obj in found if caller_of(request).may(Right.READ, obj["metadata"]["name"])]
        if kind == "LimitOverride":
            found = [obj for obj in found if overrides.is_visible(obj, caller_of(request), backend)]
        return respond(pages.page(pages.selected(found, selector), limit, after, shown))

    @router.get(
        path + "/{name}",
        tags=[kind],
        summary=f"Read one {kind}.",
        name=f"get_{noun}",
        response_model=types.document,
    )
    async def get(request: Request, backend: Api, key: Annotated[ObjectKey, Depends(place)]) -> Response:
        found = backend.documents.one(key)
        if kind == "LimitOverride" and not overrides.is_visible(found, caller_of(request), backend):
            raise NotFound(f"there is no {key}")
        return respond(found)


def _writes(path: str, kind: str, noun: str) -> None:
    types = KINDS[kind]
    place = place_of(kind)

    @router.put(
        path,
        tags=[kind],
        summary=f"Write a whole {kind}.",
        name=f"put_{noun}",
        openapi_extra=BODIES[kind],
        response_model=types.document | WritePlan,
        responses=created(types.document),
    )
    async def put(
        request: Request, backend: Api, key: Annotated[ObjectKey, Depends(place)], body: DocumentBody, write: AsAsked
    ) -> Response:
        if kind == "LimitOverride":
            overrides.authored(body, caller_of(request).identity)
        answer, is_new = await backend.writer.put(key, body, write)
        note(request, key, answer)
        return respond(answer, 201 if is_new and not write.dry_run else 200)

    @router.patch(
        path,
        tags=[kind],
        summary=f"Merge a patch (RFC 7396) into a {kind}.",
        name=f"patch_{noun}",
        openapi_extra=BODIES["patch"],
        response_model=types.document | WritePlan,
    )
    async def patch(
        request: Request, backend: Api, key: Annotated[ObjectKey, Depends(place)], body: DocumentBody, write: AsAsked
    ) -> Response:
        if kind == "LimitOverride":
            overrides.authored(body, caller_of(request).identity)
        answer = await backend.writer.patch(key, body, write)
        note(request, key, answer)
        return respond(answer)

    @router.delete(
        path,
        tags=[kind],
        summary=f"Delete a {kind}.",
        name=f"delete_{noun}",
        response_model=BundlePlan,
        responses=deleting(),
    )
    async def delete(
        request: Request,
        backend: Api,
        key: Annotated[ObjectKey, Depends(place)],
        write: AsAsked,
        cascade: Cascade = False,
    ) -> Response:
        answer = await backend.deletion.delete(key, cascade, write)
        note(request, key, answer)
        return respond(answer, 200 if write.dry_run else 202)


for _kind, _path, _prefix in ROOTS:
    _reads(_path, _kind, _prefix + KINDS[_kind].noun)
    _writes(_path + "/{name}", _kind, _prefix + KINDS[_kind].noun)
