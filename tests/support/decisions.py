"""Models with decisions of replicas in their status, as watches bring them."""

from typing import Any

from istio_templates.facts import Manifest

_versions = iter(range(1, 10_000_000))


def decided(name: str, replicas: int, version: str = "v1", namespace: str = "search", **more: Any) -> Manifest:
    """Return a Model as a watch brings it, with a decision in its status."""
    decision = {"version": version, "replicas": replicas, "warm": 2, "at": "2026-11-30T07:00:00Z", "holds": [], **more}
    return watched(
        "Model",
        name,
        namespace,
        spec={"versions": [{"name": version, "autoscale": {"max": 40, "writer": "hpa"}}]},
        status={"autoscale": [decision]},
    )


def watched(kind: str, name: str, namespace: str, **content: Any) -> Manifest:
    """Return an object as a watch brings it."""
    metadata = {"name": name, "namespace": namespace, "uid": f"{kind}-{name}", "resourceVersion": str(next(_versions))}
    return {"kind": kind, "metadata": metadata, **content}
