"""Hosts of which several tenants serve paths: to whom each owner has delegated paths, and who serves them. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from istio_templates import names
from istio_templates.documents import ModelSpec, TenantSpec
from istio_templates.facts import LentHost, LiveRoute, Tenancy
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.route_order import Holder
from k8s_manager.world.tenant import adopted_by, gateway_name, namespace_of
from k8s_manager.world.tenant_gateways import Binding


@dataclass(frozen=True, slots=True)
class Delegations:
    """`guests`: by tenant and host, the namespaces that serve delegated paths of it; `hosts`: by tenant, the hosts of
    other tenants that it serves paths of."""

    guests: Mapping[str, Mapping[str, tuple[str, ...]]]
    hosts: Mapping[str, tuple[LentHost, ...]]


def delegations(
    tenants: Mapping[str, TenantSpec], homes: Mapping[str, str], bindings: Mapping[str, Binding]
) -> Delegations:
    """Return what accepted tenants delegate to those that have a namespace (`homes`), also while these are rejected."""
    homes = {**homes, **{name: namespace_of(name, spec) for name, spec in tenants.items()}}
    guests: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    hosts: dict[str, tuple[LentHost, ...]] = defaultdict(tuple)
    for owner, spec in tenants.items():
        gateways = bindings[owner].gateways if owner in bindings else (gateway_name(owner, spec),)
        for host in spec.hosts:
            there = sorted({delegation.tenant for delegation in host.delegations} & homes.keys())
            if there:
                guests[owner][host.name] = tuple(homes[name] for name in there)
            for name in there:
                credential = host.tls.credential_name if host.tls else None
                hosts[name] += (LentHost(host.name, owner, credential, gateways, adopted_by(spec)),)
    return Delegations(guests, hosts)


def revoked_routes(
    routes: Iterable[LiveRoute], tenant_of: Mapping[str, str], index: ClaimIndex
) -> tuple[dict[Holder, frozenset[tuple[str, str]]], frozenset[tuple[str, str]]]:
    """Return of live routes, by model, those that now belong to another tenant, as (host, path); and of all others the
    (namespace, host). `tenant_of` names the tenant of each namespace, `index` has the claims of accepted tenants."""
    revoked: dict[Holder, set[tuple[str, str]]] = defaultdict(set)
    kept = set()
    for host, _, path, holder in routes:
        if index.serving_tenant(host, path) in (None, tenant_of[holder[0]]):
            kept.add((holder[0], host))
        else:
            revoked[holder].add((host, path))
    return {holder: frozenset(places) for holder, places in revoked.items()}, frozenset(kept)


def unserved_delegation(spec: ModelSpec, tenant: Tenancy) -> str | None:
    """Return a message where a delegated path is served by none of the tenant's gateways."""
    if not tenant.lent:
        return None
    ours = {pool.name for pool in tenant.gateways}
    for route in spec.routes:
        claim = names.claim_of(tenant, route.host)
        if isinstance(claim, LentHost) and ours.isdisjoint(claim.gateways):
            return (
                f"host {route.host} is served by gateway {', '.join(claim.gateways)} and this tenant by gateway "
                f"{', '.join(sorted(ours))}; set spec.gateway.name of both tenants to the same gateway"
            )
    return None
