"""What a golden case says of callers, as facts."""

from dataclasses import replace
from typing import Any

from istio_templates import names
from istio_templates.callers.access_facts import AuthenticationFacts, CallerFacts, IssuerFacts, TenantAccess
from k8s_manager.pipeline.plan import Plan


def with_observed_access(plan: Plan, observed: dict[str, Any]) -> Plan:
    """Return a plan with the callers of tenants as a case has them, by tenant."""
    return replace(plan, access={name: _access(plan, name, found) for name, found in observed.items()})


def _access(plan: Plan, name: str, found: dict[str, Any]) -> TenantAccess:
    namespace = plan.tenants[name].namespace
    authentication = AuthenticationFacts(
        tuple(IssuerFacts(**{**one, "audiences": tuple(one["audiences"])}) for one in found["issuers"]),
        tuple(map(_caller, found.get("callers", []))),
        found.get("required", True),
        tuple(found.get("headers", ())),
        found.get("forward", False),
    )
    models = tuple(
        (model, names.identity_of(served).route)
        for (space, model), served in sorted(plan.models.items())
        if space == namespace
    )
    return TenantAccess(name, namespace, authentication, models, frozenset(found.get("public", ())))


def _caller(found: dict[str, Any]) -> CallerFacts:
    models = found.get("models")
    named = None if models is None else frozenset(models)
    return CallerFacts(found["name"], named, found.get("refused", ""), tuple(found.get("revoked", ())))
