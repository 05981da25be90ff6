"""HorizontalPodAutoscaler: applies the number of replicas that the manager has decided, for versions with writer `hpa`.

The manager serves that number as an external metric, and the target is an average of one of it per replica: the HPA
then computes `ceil(number / 1)`, whatever replicas are ready. A target of type `Value` would be multiplied by the ready
ones, and so scale down while replicas warm up.

The decision has a rate of its own on the way up, and a window and a step on the way down. So `behavior` adds none: up
by as many at once as there can be, down without a second window, which would double the first. `tolerance` is not set,
since API servers before 1.35 do not know it by default; the metric takes it into account
(`ratelimiter/autoscale/metric_value.py`).
"""

from istio_templates import names
from istio_templates.facts import AutoscalerFacts, Manifest, ServedModel

METRIC = "tidegate_replicas"
"""The external metric: replicas that a version should have, by the labels of model and version."""
LEFT_BY_KEDA = "validations.keda.sh/hpa-ownership"
"""The annotation that, with "false", lets KEDA take a ScaledObject for a Deployment that an HPA still scales: after a
change of the writer that is there before this HPA goes."""
PERIOD = 15
"""Seconds: the least that is of use, since autoscalers look that often."""


def horizontal_pod_autoscalers(model: ServedModel) -> list[Manifest]:
    """Return an autoscaler for each version that asks for one; it has the name of the Deployment."""
    return [
        _autoscaler(model, version.name, version.pods.autoscaler)
        for version in model.versions
        if version.pods is not None and version.pods.autoscaler is not None
    ]


def _autoscaler(model: ServedModel, version: str, bounds: AutoscalerFacts) -> Manifest:
    obj = names.version_manifest("autoscaling/v2", "HorizontalPodAutoscaler", model, version)
    obj["metadata"]["annotations"] = {LEFT_BY_KEDA: "false"}
    spec = {
        "scaleTargetRef": scale_target(obj),
        "minReplicas": bounds.least,
        "maxReplicas": bounds.most,
        "metrics": [_metric(model.name, version)],
        "behavior": behavior(bounds.most),
    }
    return {**obj, "spec": spec}


def scale_target(autoscaler: Manifest) -> Manifest:
    """Return the reference to the Deployment that an autoscaler of the same name scales."""
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": autoscaler["metadata"]["name"]}


def behavior(most: int) -> Manifest:
    """Return how fast an HPA changes up to `most` replicas: at once, since the number has its own windows and steps."""
    return {
        "scaleUp": _at_once({"type": "Pods", "value": most, "periodSeconds": PERIOD}),
        "scaleDown": _at_once({"type": "Percent", "value": 100, "periodSeconds": PERIOD}),
    }


def _metric(model: str, version: str) -> Manifest:
    selector = {"matchLabels": {names.MODEL: model, names.VERSION: version}}
    external = {
        "metric": {"name": METRIC, "selector": selector},
        "target": {"type": "AverageValue", "averageValue": "1"},
    }
    return {"type": "External", "external": external}


def _at_once(policy: Manifest) -> Manifest:
    return {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [policy]}
