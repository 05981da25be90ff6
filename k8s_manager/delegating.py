"""Hosts of which several tenants serve paths: whom each owner has given leave, and who has it. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from istio_templates.documents import TenantSpec
from istio_templates.facts import LentHost
from k8s_manager.fleet import gateway_name, namespace_of
from k8s_manager.moves import Binding


@dataclass(frozen=True, slots=True)
class Shared:
    """`guests`: by tenant and host, the namespaces that serve paths of it; `lent`: by tenant, the hosts of others."""

    guests: Mapping[str, Mapping[str, tuple[str, ...]]]
    lent: Mapping[str, tuple[LentHost, ...]]


def shared(tenants: Mapping[str, TenantSpec], bindings: Mapping[str, Binding]) -> Shared:
    """Return what accepted tenants share; leave that is given to nobody who is there counts for nothing."""
    guests: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    lent: dict[str, tuple[LentHost, ...]] = defaultdict(tuple)
    for owner, spec in tenants.items():
        gateways = bindings[owner].gateways if owner in bindings else (gateway_name(owner, spec),)
        for host in spec.hosts:
            there = _there(tenants, (delegation.tenant for delegation in host.delegations))
            if there:
                guests[owner][host.name] = tuple(namespace_of(name, tenants[name]) for name in there)
            for name in there:
                credential = host.tls.credential_name if host.tls else None
                lent[name] += (LentHost(host.name, owner, credential, gateways),)
    return Shared(guests, lent)


def _there(tenants: Mapping[str, TenantSpec], names: Iterable[str]) -> list[str]:
    return sorted(set(names) & tenants.keys())
