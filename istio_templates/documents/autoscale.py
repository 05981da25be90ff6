"""Autoscale: between which bounds a version's replicas follow which signals, and how fast."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from istio_templates.documents.fields import Count, Duration, Spec, brief

_SHARE = r"[0-9]{1,4}(\.[0-9]{1,3})?%"


def _share(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(_SHARE, value) or share(value) == 0:
        raise ValueError(f"{brief(value)} is no share above nothing; write a string such as 80%")
    return value


Share = Annotated[str, BeforeValidator(_share), WithJsonSchema({"type": "string", "pattern": f"^{_SHARE}$"})]


def share(text: str) -> float:
    """Return the share in a text such as `80%`, as a figure: 0.8."""
    return float(text.removesuffix("%")) / 100


class DemandSignal(Spec):
    """Requests that come, the refused ones too, over what the warm replicas can serve (`perReplicaQps`)."""

    name: Literal["demand"]
    target: Share = "80%"


class ScaleDown(Spec):
    """How replicas go: what the whole `window` behind would have borne, and at most `step` of them in such a window."""

    window: Duration = "5m"
    step: Share = "50%"

    @model_validator(mode="after")
    def _part(self) -> "ScaleDown":
        if share(self.step) > 1:
            raise ValueError(f"step {self.step}: no more than all replicas can go; write at most 100%")
        return self


class ScaleUp(Spec):
    """How replicas come: at most `step` more in 15 s, four in any case; with `forecast` as many as steady growth will
    need when they are warm."""

    step: Share = "100%"
    forecast: bool = Field(default=False, strict=True)


class VersionAutoscale(Spec):
    """Replicas between `min` and `max` that follow signals, written by one `writer`: `tidegate` itself, an `hpa` or
    `keda`, each with the number that Tidegate has computed."""

    min: Count = 1
    max: Count
    writer: Literal["hpa", "keda", "tidegate"] = "tidegate"
    signals: Annotated[tuple[DemandSignal, ...], Field(min_length=1, max_length=1)] = (DemandSignal(name="demand"),)
    scale_up: ScaleUp = ScaleUp()
    scale_down: ScaleDown = ScaleDown()

    @model_validator(mode="after")
    def _bounds(self) -> "VersionAutoscale":
        if not max(self.min, 1) <= self.max:
            raise ValueError(f"min {self.min} and max {self.max}: max is at least 1, and not below min")
        return self
