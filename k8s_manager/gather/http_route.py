"""Reading of HTTPRoutes and Gateways of the Gateway API, with their schema's defaults and as Istio uses them. Pure.

Source: Gateway API v1; Istio's `pilot/pkg/config/kube/gateway`, 1.31: names of routes, services of a Gateway.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import key_of
from istio_templates.virtual_service import Split
from istio_templates.workloads.service import service_named

GROUP = "gateway.networking.k8s.io"
GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
"""The label of the pods that Istio makes for a Gateway."""
_ISTIO = "istio.io/"
_ROUTE_NAME = re.compile(r"([-a-z0-9]+)\.([-.a-z0-9]+)\.[0-9]{1,2}")


def rules_of(obj: Manifest) -> list[Manifest]:
    """Return the rules of an HTTPRoute or GRPCRoute."""
    return (obj.get("spec") or {}).get("rules") or []


def splits_of(obj: Manifest) -> tuple[Split, ...]:
    """Return how each rule of an HTTPRoute that sends requests splits them, each way once."""
    namespace = obj["metadata"]["namespace"]
    weights = (weights_of(rule, namespace) for rule in rules_of(obj))
    splits = (tuple((host, "", weight) for host, weight in sorted(found.items()) if weight > 0) for found in weights)
    return tuple(dict.fromkeys(split for split in splits if split))


def weights_of(rule: Manifest, namespace: str) -> dict[str, int]:
    """Return the weight of each backend of a rule, also of those that get nothing."""
    weights: dict[str, int] = {}
    for backend in rule.get("backendRefs") or []:
        host = _host(backend, namespace)
        weights[host] = weights.get(host, 0) + int(backend.get("weight", 1))
    return weights


def _host(backend: Manifest, namespace: str) -> str:
    """Return the host of a Service. Any other backend, such as an InferencePool, keeps its kind: it names no
    Service."""
    kind = backend.get("kind", "Service")
    return (
        f"{backend['name']}.{backend.get('namespace', namespace)}" if kind == "Service" else f"{kind} {backend['name']}"
    )


def gateways_of(obj: Manifest) -> tuple[str, ...]:
    """Return the Gateways that an HTTPRoute names, as namespace/name."""
    parents = (obj.get("spec") or {}).get("parentRefs") or []
    found = (_gateway(parent, obj["metadata"]["namespace"]) for parent in parents)
    return tuple(dict.fromkeys(name for name in found if name))


def answers_of(obj: Manifest) -> Iterator[tuple[str, str | None]]:
    """Yield, by Gateway, what Istio answers to an HTTPRoute: None where it has accepted it, else why it has not."""
    for parent in (obj.get("status") or {}).get("parents") or []:
        gateway = _gateway(parent["parentRef"], obj["metadata"]["namespace"])
        if gateway and parent.get("controllerName", "").startswith(_ISTIO):
            for condition in parent.get("conditions") or []:
                if condition["type"] == "Accepted":
                    yield gateway, None if condition["status"] == "True" else condition.get("message", "")


def _gateway(parent: Manifest, namespace: str) -> str | None:
    if (parent.get("group", GROUP), parent.get("kind", "Gateway")) != (GROUP, "Gateway"):
        return None
    return f"{parent.get('namespace', namespace)}/{parent['name']}"


def taken_names(obj: Manifest) -> Iterator[tuple[str, str]]:
    """Yield (namespace, name) of the HTTPRoutes that the routes of an HTTPRoute or GRPCRoute are named after in Envoy.

    Istio names a route NAMESPACE.NAME.RULE, or as its rule says.
    """
    key = key_of(obj)
    names = [rule["name"] for rule in rules_of(obj) if rule.get("name")]
    yield from ((found[1], found[2]) for name in names if (found := _ROUTE_NAME.fullmatch(name)))
    if key.kind == "GRPCRoute" and len(names) < len(rules_of(obj)):
        yield key.namespace, key.name


def namesakes_of(objects: Iterable[Manifest]) -> dict[tuple[str, str], set[str]]:
    """Return the others whose routes Istio names like those of an HTTPRoute, by its namespace and name."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for obj in objects:
        key = key_of(obj)
        for place in taken_names(obj):
            if key != ObjectKey("HTTPRoute", *place):
                found[place].add(f"{key.kind} {key.namespace}/{key.name}")
    return found


def services_of(obj: Manifest) -> tuple[ObjectKey, ...] | None:
    """Return the Services whose pods serve a Gateway; None where Istio makes pods of its own for it."""
    addresses = (obj.get("spec") or {}).get("addresses") or []
    if not addresses or (len(addresses) == 1 and addresses[0].get("type", "IPAddress") == "IPAddress"):
        return None
    hosts = [address["value"] for address in addresses if address.get("type", "Hostname") == "Hostname"]
    return tuple(ObjectKey("Service", *service_named(host, obj["metadata"]["namespace"])) for host in hosts)
