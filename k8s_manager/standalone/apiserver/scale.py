"""The subresource `scale` of workloads: how many replicas they ask for, and have."""

from typing import Any

from k8s_manager.standalone.apiserver.errors import ApiError

Object = dict[str, Any]
KINDS = ("Deployment", "StatefulSet")


def scale_of(workload: Object) -> Object:
    """Return the Scale (autoscaling/v1) of a workload."""
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    metadata = {name: workload["metadata"][name] for name in names if name in workload["metadata"]}
    labels = ((workload.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": metadata,
        "spec": {"replicas": (workload.get("spec") or {}).get("replicas", 1)},
        "status": {"replicas": (workload.get("status") or {}).get("replicas", 0), "selector": selector},
    }


def patch_of(scale: Object) -> Object:
    """Return the patch of a workload that a Scale, or a patch of one, asks for; raises 422 where it has no number."""
    replicas = (scale.get("spec") or {}).get("replicas")
    if type(replicas) is not int or replicas < 0:
        raise ApiError(422, "Invalid", "spec.replicas: Invalid value: must be greater than or equal to 0")
    version = (scale.get("metadata") or {}).get("resourceVersion")
    return {"metadata": {"resourceVersion": version} if version else {}, "spec": {"replicas": replicas}}
