"""Rules for models that limit an HTTPRoute of the Gateway API. Pure."""

from collections.abc import Iterator

from istio_templates.facts import ObjectKey
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.rules.rejection import Rejection, conflict, invalid, not_found
from k8s_manager.world.gateway_api import HttpRoute
from k8s_manager.world.tenant import gateway_name


def check_http_route(field: str, key: ObjectKey, tenant: str, index: ClaimIndex) -> Iterator[Rejection]:
    """Yield every reason against limiting an HTTPRoute; none where it cannot be known."""
    if index.gateway_api is None:
        return
    found = index.gateway_api.routes.get((key.namespace, key.name))
    if found is not None:
        yield from _unlike_others(field, key, found)
        yield from _unserved(field, key.name, found, tenant, index)
    elif index.gateway_api.absent:
        message = (
            f"HTTPRoute {key.name} does not exist: the cluster has no HTTPRoutes, or the manager may not read them; "
            "install the Gateway API and Istio, kubectl apply -k manifests/, and create it (standalone does not "
            "translate HTTPRoutes)"
        )
        yield not_found(field, message)
    else:
        yield not_found(field, f"HTTPRoute {key.name} does not exist in namespace {key.namespace}; create it first")


def _unlike_others(field: str, key: ObjectKey, found: HttpRoute) -> Iterator[Rejection]:
    """Reject an HTTPRoute whose requests Envoy cannot tell from a neighbour's: it knows them by their routes' names."""
    if found.named:
        message = (
            f"rule {found.named[0]} of HTTPRoute {key.name} has a name, and Istio gives its route that name alone, so "
            "that no limit can tell its requests from those of other routes of that name; remove rules[].name"
        )
        yield invalid(field, message)
    if found.namesakes:
        message = (
            f"{found.namesakes[0]} has routes that Istio names {key.namespace}.{key.name}, as those of HTTPRoute "
            f"{key.name}, and their requests would be counted together; rename it or its rules"
        )
        yield conflict(field, message)


def _unserved(field: str, name: str, found: HttpRoute, tenant: str, index: ClaimIndex) -> Iterator[Rejection]:
    """Reject an HTTPRoute that no gateway of the tenant serves; during a migration, one of them is enough."""
    assert index.gateway_api is not None
    bound, target = index.bindings.get(tenant), gateway_name(tenant, index.tenants[tenant])
    own = set(bound.gateways if bound else (target,))
    leading = [gateway for gateway in found.gateways if own & index.gateway_api.pools.get(gateway, frozenset())]
    if not leading:
        listed = ", ".join(found.gateways) or "none"
        message = (
            f"HTTPRoute {name} is not bound to gateway {target}; name a Gateway in its parentRefs whose "
            f"spec.addresses is a Service of the gateway's pods, or that these were made for (now: {listed})"
        )
        yield invalid(field, message)
    elif not found.accepted & {*leading}:
        refused = next((f"{problem} ({gateway})" for gateway, problem in found.refused if gateway in leading), "")
        message = (
            f"Istio has not accepted HTTPRoute {name}: {refused}; mend it or its Gateway"
            if refused
            else f"HTTPRoute {name} has no status from Istio at Gateway {leading[0]}; look at its status.parents, and "
            "whether istiod runs and knows the Gateway's class (standalone does not translate HTTPRoutes)"
        )
        yield invalid(field, message)
