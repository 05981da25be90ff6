"""Kubernetes Events: what people find with `kubectl describe`."""

from datetime import datetime

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.runtime.timestamp import timestamp


def event(key: ObjectKey, uid: str, kind: str, reason: str, message: str, at: datetime) -> Manifest:
    """Return an event about an object; `kind` is Normal or Warning."""
    about = {"kind": key.kind, "name": key.name, "namespace": key.namespace, "uid": uid}
    time = timestamp(at)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{key.name}.", "namespace": key.namespace or "default"},
        "involvedObject": {**about, "apiVersion": RESOURCES[key.kind].group_version},
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": "tidegate"},
        "reportingComponent": "tidegate.dev/manager",
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
