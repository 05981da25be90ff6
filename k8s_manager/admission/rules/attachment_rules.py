"""Rules for models that limit a VirtualService or an HTTPRoute of another owner (`attachTo`). Pure."""

from collections.abc import Iterator

from istio_templates.documents.attachment import AttachTo
from istio_templates.facts import ObjectKey
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.route_order import Holder
from k8s_manager.admission.rules.http_route_rules import check_http_route
from k8s_manager.admission.rules.rejection import Rejection, conflict, invalid, not_found
from k8s_manager.world.tenant import dedicated_namespace, gateway_name
from k8s_manager.world.world import Foreign

FIELD = "spec.attachTo.virtualService"
HTTP_ROUTE = "spec.attachTo.httpRoute"


def check_attachment(key: Holder, tenant: str, attach_to: AttachTo, index: ClaimIndex) -> Iterator[Rejection]:
    """Yield every reason against limiting a route of another owner."""
    route = attach_to.key(key[0])
    if (holder := index.attached.get(route, key[1])) != key[1]:
        field = HTTP_ROUTE if attach_to.http_route else FIELD
        yield conflict(field, f"{attach_to} is already limited by model {holder}; attach to another one")
    if attach_to.http_route:
        yield from check_http_route(HTTP_ROUTE, route, tenant, index)
    else:
        yield from _check_virtual_service(key, tenant, route, index)


def check_name(key: Holder, index: ClaimIndex) -> Iterator[Rejection]:
    """Reject a model with the name of a VirtualService that another model limits."""
    if (holder := index.attached.get(ObjectKey("VirtualService", *key), key[1])) != key[1]:
        message = f"VirtualService {key[1]} is limited by model {holder}; choose another name for this model"
        yield conflict("metadata.name", message)


def _check_virtual_service(key: Holder, tenant: str, route: ObjectKey, index: ClaimIndex) -> Iterator[Rejection]:
    name, place = route.name, (route.namespace, route.name)
    own = index.models.get(place)
    if own and place != key and not own.attach_to:
        message = f"VirtualService {name} is rendered by Tidegate for model {name}; set the limit in that model"
        yield conflict(FIELD, message)
    elif index.foreign is not None and place not in index.foreign:
        message = f"VirtualService {name} does not exist in namespace {key[0]}; create it first"
        yield not_found(FIELD, message)
    elif index.foreign is not None:
        yield from _unreachable(place, index.foreign[place], tenant, index)


def _unreachable(place: Holder, found: Foreign, tenant: str, index: ClaimIndex) -> Iterator[Rejection]:
    """Reject a VirtualService that no gateway of the tenant serves; during a migration, one of them is enough."""
    gateway = gateway_name(tenant, index.tenants[tenant])
    spaces = _gateway_namespaces(tenant, index)
    if not any({"*", n} & set(found.export_to) or ("." in found.export_to and n == place[0]) for n in spaces):
        message = f"VirtualService {place[1]} is not exported to namespace {spaces[0]}; add that to its exportTo"
        yield invalid(FIELD, message)
    if _is_bound(found, spaces, tenant, index):
        return
    if found.delegate_of:
        root = found.delegate_of[0]
        message = (
            f"VirtualService {place[1]} is a delegate of {root}, and the gateway counts its requests as those of "
            f"{root}; attach to that one, in its namespace"
        )
        yield invalid(FIELD, message)
        return
    listed = ", ".join(found.gateways) or "none"
    message = (
        f"VirtualService {place[1]} is not bound to gateway {gateway}; add a Gateway of namespace {spaces[0]}, or one "
        f"that selects its pods, to its gateways (now: {listed})"
    )
    yield invalid(FIELD, message)


def _is_bound(found: Foreign, spaces: list[str], tenant: str, index: ClaimIndex) -> bool:
    """Tell whether a VirtualService is bound to a Gateway beside the pods of a tenant's gateway, or to one of another
    namespace that selects those pods."""
    bound = index.bindings.get(tenant)
    pools = set(bound.gateways if bound else ())
    return any(
        name.partition("/")[0] in spaces or pools & index.selecting.get(name, frozenset()) for name in found.gateways
    )


def _gateway_namespaces(tenant: str, index: ClaimIndex) -> list[str]:
    """Return the namespaces of the gateways that serve a tenant, sorted."""
    bound = index.bindings.get(tenant)
    known = [index.gateways[name].namespace for name in bound.gateways if name in index.gateways] if bound else []
    if known:
        return sorted(set(known))
    return [dedicated_namespace(tenant)]
