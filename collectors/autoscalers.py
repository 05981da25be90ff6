"""What autoscalers want and do, read from HorizontalPodAutoscalers and from KEDA's ScaledObjects."""

from collections.abc import Iterable
from fractions import Fraction

from istio_templates.facts import Manifest
from istio_templates.quantity import quantity

_RESOURCES = {"Resource": "resource", "ContainerResource": "containerResource"}
_STANDS_STILL = (("Paused", "True"), ("HPAActive", "False"), ("ScalingActive", "False"), ("Ready", "False"))
"""Conditions by which an autoscaler says that it does not scale; of several the first says most."""
_AT_REST = "ScalingDisabled"
"""The reason of an HPA that does nothing because there is no replica."""
Targets = tuple[tuple[str, Fraction], ...]


def deployment_of(scaler: Manifest) -> str | None:
    """Return the name of the Deployment that is scaled; None where it is something else."""
    target = (scaler.get("spec") or {}).get("scaleTargetRef") or {}
    return str(target["name"]) if target.get("kind") == "Deployment" and target.get("name") else None


def scaled_object_of(scaler: Manifest) -> str | None:
    """Return the name of the ScaledObject for which KEDA has made an autoscaler; None for any other one."""
    owners = scaler["metadata"].get("ownerReferences") or []
    made_for = (owner for owner in owners if owner.get("controller") and owner.get("kind") == "ScaledObject")
    return next((str(owner["name"]) for owner in made_for if owner.get("name")), None)


def complaint(scaler: Manifest) -> str:
    """Return why an autoscaler does not scale, in its own words; empty where it does, or has not said anything yet."""
    told = {one["type"]: one for one in (scaler.get("status") or {}).get("conditions") or []}
    for condition, status in _STANDS_STILL:
        found = told.get(condition, {})
        if found.get("status") == status and found.get("reason") != _AT_REST:
            return str(found.get("message") or found.get("reason") or condition)
    return ""


def targets(scaler: Manifest) -> Targets:
    """Return (metric, value per replica) of an autoscaler's targets; utilisations are none."""
    return tuple(_targets((scaler.get("spec") or {}).get("metrics") or []))


def usage(scaler: Manifest) -> tuple[str, ...]:
    """Return the resources that an autoscaler looks at where it looks at nothing else; empty where it does. One without
    metrics is given CPU by Kubernetes."""
    metrics = (scaler.get("spec") or {}).get("metrics") or [{"type": "Resource", "resource": {"name": "cpu"}}]
    names = [_resource(metric) for metric in metrics]
    return tuple(name for name in names if name) if all(names) else ()


def _resource(metric: Manifest) -> str:
    """Return the resource that a metric is the use of; empty for every other metric."""
    source = metric.get(_RESOURCES.get(str(metric.get("type", "")), ""))
    return str(source.get("name", "")) if isinstance(source, dict) else ""


def _targets(metrics: Iterable[Manifest]) -> Iterable[tuple[str, Fraction]]:
    for metric in metrics:
        source = metric.get(str(metric.get("type", "")).lower())
        if not isinstance(source, dict):
            continue
        name, value = (source.get("metric") or {}).get("name"), (source.get("target") or {}).get("averageValue")
        if name and value is not None and (found := quantity(str(value))) is not None:
            yield str(name), found
