"""The Gateway API in an embedded API: its kinds without their schemas, and objects of them."""

from istio_templates.facts import Manifest

GROUP = "gateway.networking.k8s.io"
KINDS = {"Gateway": "gateways", "HTTPRoute": "httproutes", "GRPCRoute": "grpcroutes"}


def gateway_api_crds() -> list[Manifest]:
    """Return a CustomResourceDefinition for each kind that the manager reads."""
    return [_crd(kind, plural) for kind, plural in KINDS.items()]


def _crd(kind: str, plural: str) -> Manifest:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


def kubernetes_gateway(name: str, namespace: str, *services: str) -> Manifest:
    """Return a Gateway on the pods of Services; without any, Istio makes pods for it."""
    addresses = [{"type": "Hostname", "value": service} for service in services]
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    spec = {"gatewayClassName": "istio", "listeners": [listener], **({"addresses": addresses} if addresses else {})}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}


def http_route(name: str, backends: dict[str, int], gateway: str = "inference-gw/public", **spec: object) -> Manifest:
    """Return an HTTPRoute in namespace search, with one rule, as Istio has accepted it."""
    parent = dict(zip(("namespace", "name"), gateway.split("/"), strict=True))
    refs = [{"name": service, "port": 80, "weight": weight} for service, weight in backends.items()]
    base = {"hostnames": ["search.models.example.com"], "parentRefs": [parent], "rules": [{"backendRefs": refs}]}
    obj = {"apiVersion": f"{GROUP}/v1", "kind": "HTTPRoute", "metadata": {"name": name, "namespace": "search"}}
    return answered({**obj, "spec": {**base, **spec}})


def answered(obj: Manifest, message: str = "", controller: str = "istio.io/gateway-controller") -> Manifest:
    """Return an HTTPRoute with the status that Istio gives it: accepted, or why it is not."""
    condition = {"type": "Accepted", "status": "False" if message else "True", "reason": "x", "message": message}
    parents = [
        {"parentRef": parent, "controllerName": controller, "conditions": [condition]}
        for parent in obj["spec"]["parentRefs"]
    ]
    return {**obj, "status": {"parents": parents}}
