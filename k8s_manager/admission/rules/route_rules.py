"""Rules for one route of a model: whose host and path it is. Pure.

What another tenant owns or serves is not named: it is not this tenant's to know.
"""

from collections.abc import Iterator

from istio_templates.documents import ModelSpec
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.route_order import Holder, is_fallback
from k8s_manager.admission.rules.rejection import Rejection, conflict, invalid


def check_route(key: Holder, tenant: str, spec: ModelSpec, number: int, index: ClaimIndex) -> Iterator[Rejection]:
    """Yield every reason against a route; paths are compared only on a host that the tenant may serve."""
    if rejections := list(_host(tenant, spec, number, index)):
        yield from rejections
    else:
        taken = list(_path(key, tenant, spec, number, index))
        yield from taken or _order(key, tenant, spec, number, index)


def _host(tenant: str, spec: ModelSpec, number: int, index: ClaimIndex) -> Iterator[Rejection]:
    """Reject a host or path that the tenant neither owns nor has been delegated."""
    route, field = spec.routes[number], f"spec.routes[{number}]"
    owner, delegation = index.owner(route.host), index.delegation(route.host, route.path)
    if owner is None:
        message = f"host {route.host} is not claimed by tenant {tenant}; add it to spec.hosts of the Tenant"
        yield invalid(f"{field}.host", message)
    elif tenant not in (owner, delegation[1] if delegation else owner):
        message = f"host {route.host} belongs to another tenant; use a host of tenant {tenant}"
        yield conflict(f"{field}.host", message)
    elif delegation is None:
        within = [] if is_fallback(route, spec) else list(index.delegated_within(route.host, route.path))
        for path, other in within:
            message = f"path {route.path} contains {path}, which is delegated to tenant {other}; use another path"
            yield conflict(f"{field}.path", message)
    elif tenant != delegation[1]:
        message = (
            f"path {delegation[0]} of host {route.host} is delegated to tenant {delegation[1]}; use another path, or "
            "remove the delegation"
        )
        yield conflict(f"{field}.path", message)


def _path(key: Holder, tenant: str, spec: ModelSpec, number: int, index: ClaimIndex) -> Iterator[Rejection]:
    """Reject a path that another model serves."""
    route = spec.routes[number]
    for path, holder in index.paths_against(route):
        if holder == key:
            continue
        taken = f"path {route.path} is taken by"
        if index.tenant_of.get(holder[0]) != tenant:
            message = f"{taken} a model of another tenant; choose another path, or ask the owner of the host"
        else:
            message = f"{taken} {'/'.join(holder)} ({path}); choose another path, or delete that model"
        yield conflict(f"spec.routes[{number}].path", message)


def _order(key: Holder, tenant: str, spec: ModelSpec, number: int, index: ClaimIndex) -> Iterator[Rejection]:
    """Reject a route where only the age of two models would say which of them gets a request."""
    route = spec.routes[number]
    for path, holder in index.unordered_against(route, is_fallback(route, spec)):
        if holder == key:
            continue
        known = index.tenant_of.get(holder[0]) == tenant
        other = f"model {'/'.join(holder)} ({path})" if known else "a model of another tenant"
        message = (
            f"a request may fit this route and that of {other}, and only the age of the models would say who gets it; "
            "give both routes one header with different values, or paths of which none contains the other"
        )
        yield conflict(f"spec.routes[{number}]", message)
        return
