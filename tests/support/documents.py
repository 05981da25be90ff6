"""Documents that tests start from."""

import copy
from typing import Any

from tests.support.fleet import QUICK

Object = dict[str, Any]
API = "tidegate.dev/v1alpha1"
HOST = "search.models.example.com"
LABELS = {"app": "ranker", "version": "v1", "tidegate.dev/model": "ranker", "tidegate.dev/version": "v1"}

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inference-gw"}}
"""The namespace of the gateway `shared`."""


def gateway(name: str = "shared", namespace: str = "inference-gw", **spec: Any) -> Object:
    """Return a gateway whose pods somebody else runs."""
    base = {
        "namespace": namespace,
        "selector": {"istio": name},
        "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}],
    }
    return {"apiVersion": API, "kind": "InferenceGateway", "metadata": {"name": name}, "spec": {**base, **spec}}


def tenant(name: str = "search", host: str | None = None, **spec: Any) -> Object:
    """Return a tenant on the shared gateway."""
    base = {"gateway": {"name": "shared"}, "hosts": [{"name": host or f"{name}.models.example.com"}]}
    return {"apiVersion": API, "kind": "Tenant", "metadata": {"name": name}, "spec": {**base, **spec}}


def model(name: str = "ranker", namespace: str = "search", **spec: Any) -> Object:
    """Return a model with one version, limited to 20/s for each replica, its debounce short."""
    base = {
        "routes": [{"host": f"{namespace}.models.example.com", "path": f"/v2/models/{name}", "port": 8080}],
        "versions": [{"name": "v1", "workload": {"replicas": 2, "image": "example.com/ranker:1"}}],
        "traffic": [{"version": "v1", "weight": 100}],
        "rateLimit": {"perReplicaQps": 20, "debounce": QUICK},
    }
    metadata = {"name": name, "namespace": namespace}
    return copy.deepcopy({"apiVersion": API, "kind": "Model", "metadata": metadata, "spec": {**base, **spec}})


def labels(name: str = "ranker", version: str = "v1") -> dict[str, str]:
    """Return the labels of a model's pods."""
    return {"app": name, "version": version, "tidegate.dev/model": name, "tidegate.dev/version": version}
