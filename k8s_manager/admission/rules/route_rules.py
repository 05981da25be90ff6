"""Rules for one route of a model: whose host and path it is. Pure.

What another tenant owns or serves is not named: it is not this tenant's to know.
"""

from collections.abc import Iterator

from istio_templates.documents import ModelSpec
from istio_templates.documents.model import Route
from k8s_manager.admission.claim_index import ClaimIndex, Holder
from k8s_manager.admission.rules.rejection import Rejection, conflict, invalid


def check_route(key: Holder, tenant: str, spec: ModelSpec, number: int, index: ClaimIndex) -> Iterator[Rejection]:
    """Yield every reason against a route; paths are compared only on a host that the tenant may serve."""
    if rejections := list(_host(tenant, spec, number, index)):
        yield from rejections
    else:
        yield from _path(key, tenant, spec, number, index)


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


def is_fallback(route: Route, model: ModelSpec) -> bool:
    """Tell whether a proxy tries a route after all others of its host: a bare `/` that matches nothing else."""
    return route.path == "/" and not route.headers and len({other.host for other in model.routes}) == 1
