"""What a team made by hand before it comes to Tidegate: a Gateway and a VirtualService, as the team's model needs them."""

from typing import Any

from istio_templates.facts import Manifest

HTTP = [
    {
        "match": [{"uri": {"exact": "/v2/models/ranker"}}, {"uri": {"prefix": "/v2/models/ranker/"}}],
        "route": [{"destination": {"host": "ranker"}}],
        "timeout": "3s",
    }
]
GATEWAY_SERVERS = [
    {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["search/search.models.example.com"]}
]
ADOPTING: dict[str, Any] = {"drift": "adopt", "gateway": {"name": "shared", "adopt": "main"}}
"""Fields of the tenant that takes them over."""


def by_hand(kind: str, name: str, namespace: str, spec: Manifest) -> Manifest:
    """Return an object of Istio's."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def route_by_hand(**spec: Any) -> Manifest:
    """Return the VirtualService, with other fields where they are given."""
    base = {"hosts": ["search.models.example.com"], "gateways": ["inference-gw/main"], "http": HTTP}
    return by_hand("VirtualService", "ranker", "search", {**base, **spec})


def gateway_by_hand(**spec: Any) -> Manifest:
    """Return the Gateway, with other fields where they are given."""
    return by_hand(
        "Gateway", "main", "inference-gw", {"selector": {"istio": "shared"}, "servers": GATEWAY_SERVERS, **spec}
    )


def namespace_by_hand() -> Manifest:
    """Return the team's namespace, handed over to its tenant."""
    metadata = {"name": "search", "labels": {"tidegate.dev/tenant": "search"}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
