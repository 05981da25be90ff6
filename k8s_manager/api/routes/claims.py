"""Whose each host is, and hosts that change hands: routes over the Tenants' claims."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request, Response

from istio_templates import names
from istio_templates.documents.fields import host_or_wildcard
from istio_templates.errors import NotFound
from istio_templates.facts import Manifest
from k8s_manager.api import pages
from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.exchange import note
from k8s_manager.api.guard import caller_of, change_by
from k8s_manager.api.openapi import described
from k8s_manager.api.parameters import Continue, Limit, Reason, Ticket
from k8s_manager.api.request_body import body_of
from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.bodies import ClaimBody
from k8s_manager.api.schemas.claims import ClaimPage, GrantedHost, ReleasedHost
from k8s_manager.api.services.backend import Backend
from k8s_manager.api.services.document_bodies import routes_in
from k8s_manager.authz.roles import Right

router = api_router()


@router.get(
    "/v1/claims",
    tags=["Claim"],
    summary="The owner of each host, the tenants to which it delegates paths, and what serves it.",
    name="list_claims",
    response_model=ClaimPage,
)
async def _many(request: Request, backend: Api, limit: Limit = pages.MOST, after: Continue = None) -> Response:
    caller = caller_of(request)
    tenants = [obj for obj in backend.documents.many("Tenant") if caller.may(Right.READ, obj["metadata"]["name"])]
    found = sorted((claim for obj in tenants for claim in _claims(backend, obj)), key=pages.place)
    return in_json(pages.page(found, limit, after, lambda claim: claim["claim"]))


@router.put(
    "/v1/claims/{host}",
    tags=["Claim"],
    summary="Give a host to a tenant, or hand it over from another.",
    name="give_host",
    openapi_extra=described(ClaimBody),
    response_model=GrantedHost,
)
async def _put(
    request: Request,
    backend: Api,
    host: str,
    body: Annotated[ClaimBody, Depends(body_of(ClaimBody, "the claim to {host}"))],
    reason: Reason = "",
    ticket: Ticket = "",
) -> Response:
    change = change_by(request, reason, ticket)
    made = await backend.transfers.give(_host(host), body.tenant, body.source or None, change)
    note(request, names.key_of(made), made)
    return in_json({"host": _host(host), "tenant": body.tenant})


@router.delete(
    "/v1/claims/{host}",
    tags=["Claim"],
    summary="Release a host that no model is served on.",
    name="release_host",
    response_model=ReleasedHost,
)
async def _delete(request: Request, backend: Api, host: str, reason: Reason = "", ticket: Ticket = "") -> Response:
    made = await backend.transfers.release(_host(host), change_by(request, reason, ticket))
    note(request, names.key_of(made), made)
    return in_json({"released": _host(host)})


def _host(text: str) -> str:
    try:
        return host_or_wildcard(text)
    except ValueError as error:
        raise NotFound(f"there is no claim to {text[:100]!r}: {error}") from error


def _claims(backend: Backend, tenant: Manifest) -> Iterator[Manifest]:
    name, spec = tenant["metadata"]["name"], tenant.get("spec") or {}
    namespace = str(spec.get("namespace") or name)
    routes: dict[str, list[Manifest]] = {}
    for model, route in routes_in(backend.documents.many("Model", namespace)):
        line = {"path": route.get("path"), "model": model["metadata"]["name"]}
        routes.setdefault(str(route.get("host", "")), []).append(line)
    for host in spec.get("hosts") or ():
        claim = {
            "host": host["name"],
            "tenant": name,
            "gateway": (spec.get("gateway") or {}).get("name") or name,
            "delegations": host.get("delegations") or [],
            "routes": [route for at, lines in routes.items() if names.covers(host["name"], at) for route in lines],
        }
        yield {"metadata": {"name": host["name"], "namespace": name}, "claim": claim}
