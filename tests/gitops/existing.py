"""What somebody runs before Tidegate comes."""

from typing import Any

Object = dict[str, Any]
NETWORKING = "networking.istio.io/v1"


def obj(
    api_version: str, kind: str, name: str, namespace: str, spec: Object, labels: dict[str, str] | None = None
) -> Object:
    """Return an object."""
    metadata = {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def http_server(number: int = 8080, hosts: tuple[str, ...] = ("*",)) -> Object:
    """Return a server of plain HTTP."""
    return {"port": {"number": number, "name": f"http-{number}", "protocol": "HTTP"}, "hosts": list(hosts)}


def gateway(*servers: Object, name: str = "ml", namespace: str = "istio-ingress") -> Object:
    """Return an Istio Gateway; by default with plain HTTP on 8080."""
    spec = {"selector": {"istio": "ingress"}, "servers": list(servers) or [http_server()]}
    return obj(NETWORKING, "Gateway", name, namespace, spec)


def service(name: str = "ranker", namespace: str = "search", port: int = 80, target: int | str = 8080) -> Object:
    """Return a Service."""
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": port, "targetPort": target}]}
    return obj("v1", "Service", name, namespace, spec)


def route(*targets: tuple[str, str, int], prefix: str = "/v2/models/ranker", **more: Any) -> Object:
    """Return a route to (Service, subset, weight)."""
    there = [
        {
            "destination": {"host": host, **({"subset": subset} if subset else {}), "port": {"number": 80}},
            "weight": weight,
        }
        for host, subset, weight in targets
    ]
    return {"match": [{"uri": {"prefix": prefix}}], "route": there, **more}


def virtual_service(*http: Object, name: str = "ranker", namespace: str = "search", **more: Any) -> Object:
    """Return a VirtualService behind that Gateway."""
    spec = {"hosts": [f"{namespace}.example.com"], "gateways": ["istio-ingress/ml"], "http": list(http), **more}
    return obj(NETWORKING, "VirtualService", name, namespace, spec)


def destination_rule(host: str = "ranker", namespace: str = "search") -> Object:
    """Return a DestinationRule with two subsets."""
    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
    return obj(NETWORKING, "DestinationRule", host, namespace, {"host": host, "subsets": subsets})
