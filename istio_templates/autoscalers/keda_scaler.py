"""ScaledObject of KEDA: applies the number of replicas that the manager has decided, for versions with writer `keda`.

KEDA asks the manager's REST API for the number, makes an HPA of its own with it as an average of one per replica, and
itself wakes the first replica and takes the last one. The number has its windows and steps already, so KEDA adds none:
`cooldownPeriod` is 0, and `behavior` is that of our own HPAs. While the manager does not answer, KEDA changes nothing,
since there is no `fallback`; when the ScaledObject goes, the replicas stay.

Source of the shape: KEDA's keda.sh/v1alpha1, versions 2.16 to 2.21.
"""

import hashlib

from istio_templates import names
from istio_templates.facts import Manifest, ScaledObjectFacts, ServedModel
from istio_templates.workloads.horizontal_pod_autoscaler import PERIOD, behavior, scale_target

EXCLUDED_LABELS = "scaledobject.keda.sh/hpa-excluded-labels"
"""The annotation that says which labels KEDA does not copy to its HPA: those that would make that one ours."""
_LABEL_LENGTH = 63


def scaled_objects(model: ServedModel) -> list[Manifest]:
    """Return a ScaledObject for each version that asks for one; it has the name of the Deployment."""
    return [
        _scaled_object(model, version.name, version.pods.scaled_object)
        for version in model.versions
        if version.pods is not None and version.pods.scaled_object is not None
    ]


def hpa_name(scaled_object: str) -> str:
    """Return the name of the HPA that KEDA makes. One that is no label any more is cut, with a hash of all of it."""
    name = f"keda-hpa-{scaled_object}"
    if len(name) <= _LABEL_LENGTH:
        return name
    return f"{name[: _LABEL_LENGTH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _scaled_object(model: ServedModel, version: str, facts: ScaledObjectFacts) -> Manifest:
    obj = names.version_manifest("keda.sh/v1alpha1", "ScaledObject", model, version)
    obj["metadata"]["annotations"] = {EXCLUDED_LABELS: ",".join(sorted(obj["metadata"]["labels"]))}
    config = {"name": hpa_name(obj["metadata"]["name"]), "behavior": behavior(facts.most)}
    spec = {
        "scaleTargetRef": scale_target(obj),
        "pollingInterval": PERIOD,
        "cooldownPeriod": 0,
        "minReplicaCount": facts.least,
        "maxReplicaCount": facts.most,
        "advanced": {
            "restoreToOriginalReplicaCount": False,
            "horizontalPodAutoscalerConfig": config,
        },
        "triggers": [_trigger(model, version, facts)],
    }
    return {**obj, "spec": spec}


def _trigger(model: ServedModel, version: str, facts: ScaledObjectFacts) -> Manifest:
    kind, name = facts.keda.auth
    path = f"/v1/tenants/{model.tenant.name}/models/{model.name}/versions/{version}/replicas"
    return {
        "type": "metrics-api",
        "metricType": "AverageValue",
        "metadata": {
            "url": facts.keda.url + path,
            "valueLocation": "replicas",
            "targetValue": "1",
            "authMode": "bearer",
        },
        "authenticationRef": {"kind": kind, "name": name},
    }
