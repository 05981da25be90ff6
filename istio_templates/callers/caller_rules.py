"""Envoy's RBAC filter of one access slot: which verified caller may call which route.

A tree, so that a thousand callers cost one look-up: first the tenant, by what its routes begin with, then the token's
id among those that are revoked, then the caller. A route without a rule of its own has no verified caller, and is
refused where the tenant requires one: also while a new model's rule is still on its way.

Where a tenant does not require a token, a request without one is anonymous. One with a token is treated as everywhere:
its caller has to be known, so that a model never sees a name that is not a caller's.

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
    ends_with_one_of,
    exactly,
    is_there,
    where,
)
from istio_templates.facts import Manifest

RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"


def caller_rules(tenants: tuple[TenantAccess, ...]) -> Manifest:
    """Return the filter's configuration; without tenants it lets everything pass."""
    found = {names.routes_of(tenant.namespace): _of_tenant(tenant) for tenant in tenants}
    return {"@type": RBAC, **beginning(by_route(), found, allow("other"))} if found else {"@type": RBAC}


def _of_tenant(tenant: TenantAccess) -> Manifest:
    public = {route: allow("public") for name, route in tenant.models if name in tenant.public}
    verified = _verified(tenant)
    if not tenant.authentication.required:
        verified = where(is_there(_caller(tenant)), verified, allow("anonymous"))
    return exactly(by_route(), public, verified)


def _verified(tenant: TenantAccess) -> Manifest:
    """Return what is done with a request whose tokens were verified.

    The ids of several tokens are joined, so that none of them would be found among those that are revoked.
    """
    callers = tenant.authentication.callers
    token = by_header(names.verified_token_header(names.access_slot(tenant.namespace)))
    revoked = {token_id: deny("revoked") for caller in callers for token_id in caller.revoked}
    unnamed = where(is_there(_caller(tenant)), deny("unknown"), deny("unverified"))
    prefix = names.routes_of(tenant.namespace)
    routes = {name: route.removeprefix(prefix) for name, route in tenant.models if route.startswith(prefix)}
    known = {caller.name: _of_caller(caller, routes) for caller in callers}
    tree = exactly(token, revoked, exactly(_caller(tenant), known, unnamed))
    return where(contains(token, ","), deny("several"), tree)


def _caller(tenant: TenantAccess) -> Manifest:
    return by_header(names.verified_caller_header(names.access_slot(tenant.namespace)))


def _of_caller(caller: CallerFacts, routes: dict[str, str]) -> Manifest:
    """Return what a caller may do. One expression for all its models, not an entry for each: a thousand callers with
    ten models each have to fit into one object."""
    if caller.refused:
        return deny(caller.refused)
    if caller.models is None:
        return allow("caller")
    own = sorted(routes[name] for name in caller.models if name in routes)
    return where(ends_with_one_of(by_route(), own), allow("caller"), deny("model")) if own else deny("model")
