"""KEDA in an embedded API: the kind ScaledObject with the fields that the manager sets, and what KEDA makes of one.

Source: KEDA 2.21, config/crd/bases/keda.sh_scaledobjects.yaml and controllers/keda/hpa.go.
"""

from istio_templates.facts import Manifest

_TEXT, _NUMBER = {"type": "string"}, {"type": "integer", "format": "int32", "minimum": 0}
_POLICY = {"type": "object", "required": ["periodSeconds", "type", "value"]}
_POLICY["properties"] = {"type": _TEXT, "value": _NUMBER, "periodSeconds": _NUMBER}


def _object(*required: str, **properties: object) -> Manifest:
    return {"type": "object", "properties": properties, **({"required": [*required]} if required else {})}


_RULES = _object(
    stabilizationWindowSeconds=_NUMBER,
    selectPolicy=_TEXT,
    policies={"type": "array", "items": _POLICY, "x-kubernetes-list-type": "atomic"},
)
_CONFIG = _object(name=_TEXT, behavior=_object(scaleUp=_RULES, scaleDown=_RULES))
_TRIGGER = _object(
    "metadata",
    "type",
    type=_TEXT,
    name=_TEXT,
    metricType=_TEXT,
    metadata={"type": "object", "additionalProperties": _TEXT},
    authenticationRef=_object("name", kind=_TEXT, name=_TEXT),
)
_SPEC = _object(
    "scaleTargetRef",
    "triggers",
    scaleTargetRef=_object("name", apiVersion=_TEXT, kind=_TEXT, name=_TEXT),
    pollingInterval={**_NUMBER, "minimum": 1},
    cooldownPeriod=_NUMBER,
    minReplicaCount=_NUMBER,
    maxReplicaCount=_NUMBER,
    advanced=_object(restoreToOriginalReplicaCount={"type": "boolean"}, horizontalPodAutoscalerConfig=_CONFIG),
    triggers={"type": "array", "items": _TRIGGER},
)
_STATUS = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def scaled_object_crd() -> Manifest:
    """Return the CustomResourceDefinition of ScaledObject."""
    schema = _object("spec", spec=_SPEC, status=_STATUS)
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "ScaledObject", "plural": "scaledobjects", "singular": "scaledobject"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "scaledobjects.keda.sh"},
        "spec": {
            "group": "keda.sh",
            "scope": "Namespaced",
            "names": {**names, "listKind": "ScaledObjectList"},
            "versions": [{**version, "subresources": {"status": {}}}],
        },
    }


def hpa_of(scaled: Manifest, excludes: bool = True) -> Manifest:
    """Return the HPA that KEDA makes for a live ScaledObject; an old KEDA `excludes` no labels from what it copies."""
    metadata, spec = scaled["metadata"], scaled["spec"]
    annotations = metadata.get("annotations") or {}
    excluded = annotations.get("scaledobject.keda.sh/hpa-excluded-labels", "").split(",") if excludes else []
    copied = {label: value for label, value in (metadata.get("labels") or {}).items() if label not in excluded}
    owner = {"apiVersion": scaled["apiVersion"], "kind": "ScaledObject", "controller": True}
    config = (spec.get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": config.get("name", f"keda-hpa-{metadata['name']}"),
            "namespace": metadata["namespace"],
            "labels": {"app.kubernetes.io/managed-by": "keda-operator", **copied},
            "annotations": annotations,
            "ownerReferences": [{**owner, "name": metadata["name"], "uid": metadata["uid"]}],
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", **spec["scaleTargetRef"]},
            "minReplicas": max(spec.get("minReplicaCount", 0), 1),
            "maxReplicas": spec.get("maxReplicaCount", 100),
        },
    }
