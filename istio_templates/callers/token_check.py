"""Envoy's jwt_authn filter of one access slot: whose tokens are good for which route.

A rule is found by the route that took the request, never by what a client says of it: a Host in another case or with a
port goes round nothing. Each tenant's providers are named in the rules of its own routes only. So two tenants may have
one issuer with different audiences.

All tokens of a request have to be good, whichever headers carry them; the verified ones are taken out of the request
unless the tenant wants them forwarded.

Source of the shapes: Envoy's JwtAuthentication v3.
"""

from istio_templates import names
from istio_templates.callers.access_facts import AuthenticationFacts, IssuerFacts, TenantAccess
from istio_templates.callers.matchers import ROUTE_STATE
from istio_templates.callers.public_keys import has_usable_key
from istio_templates.facts import Manifest

JWT_AUTHN = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
CLOCK_SKEW = 60
"""Seconds by which the clocks of an issuer and of a gateway pod may differ."""
REMEMBERED = 1000
"""Tokens of an issuer that each thread of a gateway pod verifies once: a signature costs more than all the rest."""
_SCHEMES = ("Bearer ", "bearer ", "BEARER ")


def token_check(tenants: tuple[TenantAccess, ...]) -> Manifest:
    """Return the filter's configuration; without tenants it checks nothing."""
    providers: Manifest = {}
    requires: Manifest = {}
    for tenant in tenants:
        own = {
            f"{tenant.tenant}/{number}": _provider(tenant, issuer)
            for number, issuer in enumerate(_verifiable(tenant.authentication))
        }
        providers |= own
        if own:
            requirement = _requirement(list(own), tenant.authentication.required)
            requires |= {route: requirement for name, route in tenant.models if name not in tenant.public}
    out: Manifest = {"@type": JWT_AUTHN}
    if providers:
        out["providers"] = providers
    if requires:
        out["filter_state_rules"] = {"name": ROUTE_STATE, "requires": requires}
    return out


def _verifiable(authentication: AuthenticationFacts) -> list[IssuerFacts]:
    """Return the issuers whose tokens can be checked: without audiences Envoy would take tokens for anyone, and without
    a key it would take nothing of the whole slot."""
    named = (issuer for issuer in authentication.issuers if issuer.issuer and issuer.audiences)
    return [issuer for issuer in named if has_usable_key(issuer.jwks)]


def _provider(tenant: TenantAccess, issuer: IssuerFacts) -> Manifest:
    authentication, slot = tenant.authentication, names.access_slot(tenant.namespace)
    carried = [{"name": "authorization", "value_prefix": scheme} for scheme in _SCHEMES]
    others = [name for name in dict.fromkeys(("api-key", *authentication.headers)) if name != "authorization"]
    return {
        "issuer": issuer.issuer,
        "audiences": list(issuer.audiences),
        "local_jwks": {"inline_string": issuer.jwks},
        "from_headers": [*carried, *({"name": name} for name in others)],
        "forward": authentication.forward,
        "claim_to_headers": [
            {"header_name": names.verified_caller_header(slot), "claim_name": issuer.caller_claim},
            {"header_name": names.verified_token_header(slot), "claim_name": "jti"},
        ],
        "require_expiration": True,
        "clock_skew_seconds": CLOCK_SKEW,
        "jwt_cache_config": {"jwt_cache_size": REMEMBERED},
    }


def _requirement(providers: list[str], required: bool) -> Manifest:
    named: list[Manifest] = [{"provider_name": name} for name in providers]
    if required and len(named) == 1:
        return named[0]
    return {"requires_any": {"requirements": named if required else [*named, {"allow_missing": {}}]}}
