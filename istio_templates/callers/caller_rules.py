"""Envoy's RBAC filter of one access slot: which verified caller may call which route.

A tree, so that a thousand callers cost one look-up: first the tenant, by what its routes begin with, then the token's
id among those that are revoked, then the caller. A route without a rule of its own has no verified caller, and is
refused where the tenant requires one: also while a new model's rule is still on its way.

Where a tenant does not require a token, Envoy checks one that is there by any provider of the slot that has its issuer.
So a token counts only where the tenant's own provider has left its claims; what another's has verified is refused.

Source of the shapes: Envoy's RBAC v3.
"""

from istio_templates import names
from istio_templates.callers.access_facts import CallerFacts, TenantAccess
from istio_templates.callers.matchers import (
    allow,
    beginning,
    by_header,
    by_route,
    contains,
    deny,
    exactly,
    has_payload,
    is_there,
    where,
)
from istio_templates.callers.token_check import claims_key
from istio_templates.facts import Manifest

RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"


def caller_rules(tenants: tuple[TenantAccess, ...]) -> Manifest:
    """Return the filter's configuration; without tenants it lets everything pass."""
    found = {names.routes_of(tenant.namespace): _of_tenant(tenant) for tenant in tenants}
    return {"@type": RBAC, **beginning(by_route(), found, allow("other"))} if found else {"@type": RBAC}


def _of_tenant(tenant: TenantAccess) -> Manifest:
    verified = _verified(tenant)
    if tenant.authentication.required:
        return _unless_public(tenant, verified)
    stranger = where(is_there(_caller(tenant)), deny("unknown"), allow("anonymous"))
    return _unless_public(tenant, where(has_payload(claims_key(tenant)), verified, stranger))


def _unless_public(tenant: TenantAccess, otherwise: Manifest) -> Manifest:
    public = {route: allow("public") for name, route in tenant.models if name in tenant.public}
    return exactly(by_route(), public, otherwise)


def _verified(tenant: TenantAccess) -> Manifest:
    """Return what becomes of a request whose tokens were verified.

    The ids of several tokens are joined, so that none of them would be found among those that are revoked.
    """
    callers = tenant.authentication.callers
    token = by_header(names.verified_token_header(names.access_slot(tenant.namespace)))
    revoked = {token_id: deny("revoked") for caller in callers for token_id in caller.revoked}
    unnamed = where(is_there(_caller(tenant)), deny("unknown"), deny("unverified"))
    routes = dict(tenant.models)
    known = {caller.name: _of_caller(caller, routes) for caller in callers}
    tree = exactly(token, revoked, exactly(_caller(tenant), known, unnamed))
    return where(contains(token, ","), deny("several"), tree)


def _caller(tenant: TenantAccess) -> Manifest:
    return by_header(names.verified_caller_header(names.access_slot(tenant.namespace)))


def _of_caller(caller: CallerFacts, routes: dict[str, str]) -> Manifest:
    if caller.refused:
        return deny(caller.refused)
    if caller.models is None:
        return allow("caller")
    own = {routes[name]: allow("caller") for name in sorted(caller.models) if name in routes}
    return exactly(by_route(), own, deny("model"))
