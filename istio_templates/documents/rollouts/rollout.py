"""Rollout: how the requests of a model come to another version, step by step, and what has to hold at each."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from istio_templates.documents.fields import DAY, LongDuration, Spec, seconds
from istio_templates.documents.rollouts.release_time import LowTraffic, RolloutWindow
from istio_templates.documents.rollouts.rollout_check import RolloutCheck

MOST_STEPS, MOST_CHECKS, MOST_WINDOWS = 20, 10, 20
SHORTEST_HOLD, LONGEST_HOLD = 10, 7 * DAY
MOST_REQUESTS = 10**9


def _held(value: str, field: str) -> None:
    if not SHORTEST_HOLD <= seconds(value) <= LONGEST_HOLD:
        raise ValueError(f"{field}: {value} is not between {SHORTEST_HOLD}s and 7 days; requests are counted every 10s")


class RolloutStep(Spec):
    """A percentage of the requests for the new version, and for how long and how many of its requests it is looked at.
    After a step with `approval` the rollout waits for an operator."""

    weight: int = Field(ge=1, le=99, strict=True)
    hold: LongDuration | None = None
    min_requests: int | None = Field(default=None, ge=1, le=MOST_REQUESTS, strict=True)
    approval: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _lasts(self) -> "RolloutStep":
        if self.hold is not None:
            _held(self.hold, "hold")
        return self


class RolloutPolicy(Spec):
    """How the model's requests come to the version that `traffic` names.

    Each of `steps` gives the new version a share as soon as its replicas are warm and carry it, and lasts `hold` and
    `minRequests`; 100 % follows by itself. A check that fails has the requests go back (`onFailure: abort`) or stay
    (`hold`); where too little is known at the end of a step, the rollout waits (`onInconclusive: hold`) or goes back.
    With `windows` steps begin in these alone, with `lowTraffic` in quiet hours; `windows` then serve where the load of
    the last weeks says nothing. A release that has not ended when its window does waits for the next one
    (`onWindowEnd: pause`), or its requests go back (`abort`).
    """

    steps: Annotated[tuple[RolloutStep, ...], Field(min_length=1, max_length=MOST_STEPS)] = (
        RolloutStep(weight=5),
        RolloutStep(weight=25),
        RolloutStep(weight=50),
    )
    hold: LongDuration = "2m"
    min_requests: int = Field(default=100, ge=1, le=MOST_REQUESTS, strict=True)
    checks: Annotated[tuple[RolloutCheck, ...], Field(min_length=1, max_length=MOST_CHECKS)] = (
        RolloutCheck(name="errors", outcome="5xx", max="1%", or_times_stable=1.5),
    )
    on_failure: Literal["abort", "hold"] = "abort"
    on_inconclusive: Literal["hold", "abort"] = "hold"
    max_duration: LongDuration = "24h"
    windows: Annotated[tuple[RolloutWindow, ...], Field(max_length=MOST_WINDOWS)] = ()
    low_traffic: LowTraffic | None = None
    on_window_end: Literal["pause", "abort"] = "pause"

    @model_validator(mode="after")
    def _lasts(self) -> "RolloutPolicy":
        _held(self.hold, "hold")
        needed = sum(seconds(step.hold or self.hold) for step in self.steps)
        if seconds(self.max_duration) < needed:
            said = f"maxDuration: {self.max_duration} is below the {float(needed):g}s that the steps take"
            raise ValueError(f"{said}; raise it, or shorten hold")
        return self

    @model_validator(mode="after")
    def _has_window(self) -> "RolloutPolicy":
        if self.on_window_end == "abort" and not self.windows and self.low_traffic is None:
            raise ValueError(
                "onWindowEnd: there is no window that could end; give windows or lowTraffic, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _rises(self) -> "RolloutPolicy":
        weights = [step.weight for step in self.steps]
        for place, (before, after) in enumerate(pairwise(weights), 1):
            if after <= before:
                raise ValueError(f"steps[{place}].weight: {after} does not rise above {before}; let each step rise")
        names = [check.name for check in self.checks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"checks: {', '.join(twice)} stands there twice; give each check a name of its own")
        return self
