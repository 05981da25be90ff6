"""What was found of replicas that do not bear their figure, as it stands in the status of their Model.

A manager that begins takes it over from there, as long as it is about the same figures and pods: it would else need as
much load again to find the same.
"""

import hashlib
import json
from collections.abc import Iterator

from istio_templates.facts import Manifest
from k8s_manager.autoscaling.scale_target import ScaleTarget
from ratelimiter.autoscale.saturation import Saturation


def saturation_entry(target: ScaleTarget, found: Saturation) -> Manifest:
    """Return what the status says; `of` differs whenever it is about other figures, signals or pods."""
    figures = {"load": found.load, "latency": found.latency, "target": found.target}
    return {**{name: float(f"{value:.4g}") for name, value in figures.items()}, "of": _digest(target)}


def recorded_saturation(model: Manifest, target: ScaleTarget) -> Saturation | None:
    """Return what the status of a Model says of a version as it is now; None where it says nothing of that."""
    for found in _entries(model, target.key.version):
        if found["of"] == _digest(target):
            return Saturation(found["load"], found["latency"], found["target"])
    return None


def _entries(model: Manifest, version: str) -> Iterator[Manifest]:
    for scaling in (model.get("status") or {}).get("autoscale") or ():
        if scaling.get("version") == version and "tooHigh" in scaling:
            yield scaling["tooHigh"]


def _digest(target: ScaleTarget) -> str:
    signals = [signal.model_dump(mode="json") for signal in target.document.signals]
    about = json.dumps([str(target.per_replica), signals, target.template], sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()[:12]
