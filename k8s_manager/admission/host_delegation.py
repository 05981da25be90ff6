"""Hosts of which several tenants serve paths: whom each owner has given leave, and who has it. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from istio_templates import names
from istio_templates.documents import ModelSpec, TenantSpec
from istio_templates.facts import LentHost, LiveRoute, Tenancy
from k8s_manager.admission.claim_index import ClaimIndex, Holder
from k8s_manager.world.binding import Binding
from k8s_manager.world.tenant import adopted_by, gateway_name, namespace_of


@dataclass(frozen=True, slots=True)
class Shared:
    """`guests`: by tenant and host, the namespaces that serve paths of it; `lent`: by tenant, the hosts of others."""

    guests: Mapping[str, Mapping[str, tuple[str, ...]]]
    lent: Mapping[str, tuple[LentHost, ...]]


def shared(tenants: Mapping[str, TenantSpec], homes: Mapping[str, str], bindings: Mapping[str, Binding]) -> Shared:
    """Return what accepted tenants share with those that have a namespace (`homes`), also while these are refused."""
    homes = {**homes, **{name: namespace_of(name, spec) for name, spec in tenants.items()}}
    guests: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    lent: dict[str, tuple[LentHost, ...]] = defaultdict(tuple)
    for owner, spec in tenants.items():
        gateways = bindings[owner].gateways if owner in bindings else (gateway_name(owner, spec),)
        for host in spec.hosts:
            there = sorted({delegation.tenant for delegation in host.delegations} & homes.keys())
            if there:
                guests[owner][host.name] = tuple(homes[name] for name in there)
            for name in there:
                credential = host.tls.credential_name if host.tls else None
                lent[name] += (LentHost(host.name, owner, credential, gateways, adopted_by(spec)),)
    return Shared(guests, lent)


def revoked_routes(
    routes: Iterable[LiveRoute], tenant_of: Mapping[str, str], fleet: ClaimIndex
) -> tuple[dict[Holder, frozenset[tuple[str, str]]], frozenset[tuple[str, str]]]:
    """Return of live routes, by model, those that are another tenant's by now, as (host, path); and of all others the
    (namespace, host). `tenant_of` names the tenant of each namespace, `fleet` holds the tenants that are accepted."""
    revoked: dict[Holder, set[tuple[str, str]]] = defaultdict(set)
    kept = set()
    for host, _, path, holder in routes:
        if fleet.server(host, path) in (None, tenant_of[holder[0]]):
            kept.add((holder[0], host))
        else:
            revoked[holder].add((host, path))
    return {holder: frozenset(places) for holder, places in revoked.items()}, frozenset(kept)


def apart_from_lender(spec: ModelSpec, tenant: Tenancy) -> str | None:
    """Return what is to be said where a path that a tenant may serve is at none of its gateways."""
    if not tenant.lent:
        return None
    ours = {pool.name for pool in tenant.gateways}
    for route in spec.routes:
        claim = names.claim_of(tenant, route.host)
        if isinstance(claim, LentHost) and ours.isdisjoint(claim.gateways):
            there = ", ".join(claim.gateways)
            return f"{route.host} is served by gateway {there}, this tenant by {', '.join(sorted(ours))}; use the same"
    return None
