"""What autoscalers want, read from HorizontalPodAutoscalers."""

from collections.abc import Iterable
from fractions import Fraction

from istio_templates.facts import Manifest
from istio_templates.quantity import quantity

Targets = tuple[tuple[str, Fraction], ...]


def deployment_of(scaler: Manifest) -> str | None:
    """Return the name of the Deployment that is scaled; None where it is something else."""
    target = (scaler.get("spec") or {}).get("scaleTargetRef") or {}
    return str(target["name"]) if target.get("kind") == "Deployment" and target.get("name") else None


def targets(scaler: Manifest) -> Targets:
    """Return (metric, value per replica) of an autoscaler's targets; utilisations are none."""
    return tuple(_targets((scaler.get("spec") or {}).get("metrics") or []))


def _targets(metrics: Iterable[Manifest]) -> Iterable[tuple[str, Fraction]]:
    for metric in metrics:
        source = metric.get(str(metric.get("type", "")).lower())
        if not isinstance(source, dict):
            continue
        name, value = (source.get("metric") or {}).get("name"), (source.get("target") or {}).get("averageValue")
        if name and value is not None and (found := quantity(str(value))) is not None:
            yield str(name), found
