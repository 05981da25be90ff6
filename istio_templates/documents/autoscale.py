"""Autoscale: between which bounds a version's replicas follow which signals, and how fast."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from istio_templates.documents.autoscale_signal import Share, Signal, share
from istio_templates.documents.fields import Count, Duration, Spec, seconds
from istio_templates.text.cron import LONGEST, cron_times

MOST_SIGNALS, MOST_SCHEDULES = 10, 20
_WAKES = ("demand", "queue", "prometheus")
"""Signals that say something while there is no replica."""


def _cron(value: str) -> str:
    cron_times(value)
    return value


Cron = Annotated[str, AfterValidator(_cron), Field(json_schema_extra={"maxLength": LONGEST})]


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


class Schedule(Spec):
    """For `length` from each moment of `cron` on (five fields, UTC), there are at least `min` replicas."""

    cron: Cron
    length: Duration
    min: Count

    @model_validator(mode="after")
    def _lasts(self) -> "Schedule":
        if seconds(self.length) < 60:
            raise ValueError(f"length: {self.length} is below a minute; cron knows no shorter time")
        return self


class VersionAutoscale(Spec):
    """Replicas between `min` and `max` that follow signals, written by one `writer`: `tidegate` itself, an `hpa` or
    `keda`, each with the number that Tidegate has computed. `schedules` raise `min` for a time."""

    min: Count = 1
    max: Count
    writer: Literal["hpa", "keda", "tidegate"] = "tidegate"
    signals: Annotated[tuple[Signal, ...], Field(min_length=1, max_length=MOST_SIGNALS)] = (Signal(name="demand"),)
    schedules: Annotated[tuple[Schedule, ...], Field(max_length=MOST_SCHEDULES)] = ()
    scale_up: ScaleUp = ScaleUp()
    scale_down: ScaleDown = ScaleDown()

    @model_validator(mode="after")
    def _bounds(self) -> "VersionAutoscale":
        if not max(self.min, 1) <= self.max:
            raise ValueError(f"min {self.min} and max {self.max}: max is at least 1, and not below min")
        if self.min == 0 and self.writer == "hpa":
            raise ValueError("min 0: a HorizontalPodAutoscaler keeps one replica; choose writer tidegate or keda")
        for place, schedule in enumerate(self.schedules):
            if schedule.min > self.max:
                raise ValueError(f"schedules[{place}].min: {schedule.min} is above max {self.max}; write at most that")
        return self

    @model_validator(mode="after")
    def _formula(self) -> "VersionAutoscale":
        if flaws := list(_flaws(self.signals, self.min)):
            raise ValueError("signals: " + "; ".join(flaws))
        return self


def _flaws(signals: tuple[Signal, ...], least: int) -> Iterator[str]:
    """Yield what is wrong with signals together."""
    names = [signal.name for signal in signals]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"{', '.join(twice)} stands there twice; give each signal a name of its own"
    weight = sum(signal.weight or 0 for signal in signals)
    has_guard = any(signal.is_guard for signal in signals)
    if weight == 0 and not has_guard:
        yield "all weights are 0 and no signal is a guard, so nothing counts; give weights that sum to 1, or a guard"
    elif weight and not math.isclose(weight, 1, abs_tol=1e-6):
        yield f"weights sum to {weight:g}; let them sum to 1, or leave all of them out"
    if least == 0 and not any(signal.kind in _WAKES and (signal.is_guard or signal.weight) for signal in signals):
        yield "with min 0 one of them has to wake the first replica; add demand, queue or a prometheus query"
