"""EnvoyFilter: the weights of a model keep each caller on one version.

Envoy draws a random number for each request, and the version in whose share of 0 to 99 it falls gets it. With
`use_hash_policy` (Envoy 1.36, so each Istio from 1.30 on) the number is the hash of a header or a cookie instead. Istio
has no field for that. The rules that it changes are found by their names, see `arm_rules.STICKY`.
"""

from istio_templates import names
from istio_templates.arms.arm_facts import StickyFacts
from istio_templates.arms.arm_rules import STICKY
from istio_templates.facts import GatewayPool, Manifest, ServedModel

_PRIORITY = 10


def sticky_filters(model: ServedModel) -> list[Manifest]:
    """Return the EnvoyFilter of a model for each of its gateways; none where its weights are not sticky."""
    if model.sticky is None:
        return []
    action = {"weighted_clusters": {"use_hash_policy": True}, "hash_policy": [_policy(model.sticky)]}
    patches = [_merged(f"{route.name}{STICKY}", action) for route in model.routes]
    return [_of(model, pool, patches) for pool in model.tenant.gateways]


def _policy(sticky: StickyFacts) -> Manifest:
    if sticky.header:
        return {"header": {"header_name": sticky.header}}
    return {"cookie": {"name": sticky.cookie}}


def _merged(route: str, action: Manifest) -> Manifest:
    return {
        "applyTo": "HTTP_ROUTE",
        "match": {"context": "GATEWAY", "routeConfiguration": {"vhost": {"route": {"name": route}}}},
        "patch": {"operation": "MERGE", "value": {"route": action}},
    }


def _of(model: ServedModel, pool: GatewayPool, patches: list[Manifest]) -> Manifest:
    name = names.sticky_object(pool, model.tenant.namespace, model.name)
    labels = names.owned_by_model(model)
    obj = names.manifest("networking.istio.io/v1alpha3", "EnvoyFilter", name, pool.namespace, labels)
    selector = {"labels": dict(pool.selector)}
    return {**obj, "spec": {"priority": _PRIORITY, "workloadSelector": selector, "configPatches": patches}}
