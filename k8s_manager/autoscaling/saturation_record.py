"""What was found of replicas that do not bear their figure, as it stands in the status of their Model.

A manager that begins takes it over from there, as long as it is about the same figures and pods: it would else need as
much load again to find the same.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from istio_templates.facts import Manifest
from k8s_manager.autoscaling.decision_record import listed
from k8s_manager.autoscaling.scale_target import ScaleTarget
from ratelimiter.autoscale.saturation import Saturation

_FIGURES = ("load", "latency", "target")


def saturation_entry(target: ScaleTarget, found: Saturation) -> Manifest:
    """Return what the status says; `of` differs whenever it is about other figures, signals or pods."""
    figures = {name: float(f"{getattr(found, name):.4g}") for name in _FIGURES}
    return {**figures, "of": _digest(target)}


def recorded_saturation(model: Manifest, target: ScaleTarget) -> Saturation | None:
    """Return what the status of a Model says of a version as it is now; None where it says nothing of that."""
    for found in _entries(model, target.key.version):
        if found.get("of") == _digest(target):
            figures = [float(found[name]) for name in _FIGURES if _is_figure(found.get(name))]
            return Saturation(*figures) if len(figures) == len(_FIGURES) else None
    return None


def _entries(model: Manifest, version: str) -> Iterator[Manifest]:
    for scaling in listed(model.get("status"), "autoscale"):
        if isinstance(scaling, dict) and scaling.get("version") == version and isinstance(scaling.get("tooHigh"), dict):
            yield scaling["tooHigh"]


def _is_figure(value: Any) -> bool:
    return type(value) in (int, float)


def _digest(target: ScaleTarget) -> str:
    signals = [signal.model_dump(mode="json") for signal in target.document.signals]
    about = json.dumps([str(target.per_replica), signals, target.template], sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()[:12]
