"""Hosts of which several tenants serve paths: whom each owner has given leave, and who has it. Pure."""

from collections import defaultdict
from collections.abc import Mapping
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
                lent[name] += (LentHost(host.name, owner, credential, gateways),)
    return Shared(guests, lent)
