"""Rollout: how the requests of a model come to another version, step by step, and what has to hold at each."""

import re
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from istio_templates.documents.fields import DAY, LongDuration, Spec, brief, seconds
from istio_templates.documents.rollouts.release_time import LowTraffic, RolloutWindow
from istio_templates.documents.rollouts.rollout_check import RolloutCheck

MOST_STEPS, MOST_CHECKS, MOST_WINDOWS = 20, 10, 20
SHORTEST_HOLD, LONGEST_HOLD = 10, 7 * DAY
MOST_REQUESTS = 10**9


MIRROR_SHARE = "([1-9][0-9]?|100)%"


def _mirror(value: str) -> str:
    if not re.fullmatch(MIRROR_SHARE, value):
        raise ValueError(f"{brief(value)} is no share of requests; write a string from 1% to 100%, in whole per cent")
    return value


MirrorShare = Annotated[
    str, AfterValidator(_mirror), Field(json_schema_extra={"pattern": f"^{MIRROR_SHARE}$", "maxLength": 4})
]


def _held(value: str, field: str) -> None:
    if not SHORTEST_HOLD <= seconds(value) <= LONGEST_HOLD:
        raise ValueError(f"{field}: {value} is not between {SHORTEST_HOLD}s and 7 days; requests are counted every 10s")


class RolloutStep(Spec):
    """A share of the requests for the new version, and for how long and how many of its requests it is looked at.

    With `weight` (per cent) the new version answers them. With `mirror` (such as `10%`) it gets copies of them: callers
    have their answers from the stable version, and those of the new one are thrown away. After a step with `approval`
    the rollout waits for an operator.
    """

    weight: int | None = Field(default=None, ge=1, le=99, strict=True)
    mirror: MirrorShare | None = None
    hold: LongDuration | None = None
    min_requests: int | None = Field(default=None, ge=1, le=MOST_REQUESTS, strict=True)
    approval: bool = Field(default=False, strict=True)

    @property
    def mirrored(self) -> int:
        """The per cent of the requests that are mirrored; 0 in a step with a weight."""
        return 0 if self.mirror is None else int(self.mirror.removesuffix("%"))

    @model_validator(mode="after")
    def _lasts(self) -> "RolloutStep":
        if self.hold is not None:
            _held(self.hold, "hold")
        return self

    @model_validator(mode="after")
    def _one_share(self) -> "RolloutStep":
        if self.weight is None and self.mirror is None:
            raise ValueError("weight: is missing; give the step a weight, or a mirror such as 10%")
        if self.weight is not None and self.mirror is not None:
            raise ValueError("mirror: a step has a weight or a mirror; make two steps of it, the mirrored one first")
        return self


def _fall(before: RolloutStep, after: RolloutStep) -> str | None:
    """Return the field in which a step falls behind the one before it, and what is wrong; None where none does."""
    if after.weight is None:
        if before.weight is not None:
            return "mirror: it comes after a step with a weight; put mirrored steps first"
        if after.mirrored < before.mirrored:
            return f"mirror: {after.mirror} is below {before.mirror} before it; let mirrored steps rise, or stay"
    elif before.weight is not None and after.weight <= before.weight:
        return f"weight: {after.weight} does not rise above {before.weight}; let each step rise"
    return None


class RolloutPolicy(Spec):
    """How the model's requests come to the version that `traffic` names.

    Each of `steps` gives the new version a share as soon as its replicas are warm and carry it, and lasts `hold` and
    `minRequests`; 100 % follows by itself. A check that fails has the requests go back (`onFailure: abort`) or stay
    (`hold`); where too little is known at the end of a step, the rollout waits (`onInconclusive: hold`) or goes back.
    With `windows` steps begin in these alone, with `lowTraffic` in quiet hours; `windows` then serve where the load of
    the last weeks says nothing. A release that has not ended when its window does waits for the next one
    (`onWindowEnd: pause`), or its requests go back (`abort`). Steps with `mirror` come before all with a weight, and
    only where `mayBeCalledTwice` says that a request may run twice: that it changes nothing, or the same.
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
    may_be_called_twice: bool = Field(default=False, strict=True)

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
        for place, (before, after) in enumerate(pairwise(self.steps), 1):
            if flaw := _fall(before, after):
                raise ValueError(f"steps[{place}].{flaw}")
        names = [check.name for check in self.checks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"checks: {', '.join(twice)} stands there twice; give each check a name of its own")
        return self

    @model_validator(mode="after")
    def _may_mirror(self) -> "RolloutPolicy":
        if all(step.weight is None for step in self.steps):
            raise ValueError("steps: all are mirrored; add one with a weight, as callers see nothing of the others")
        mirrored = [place for place, step in enumerate(self.steps) if step.mirror is not None]
        if mirrored and not self.may_be_called_twice:
            raise ValueError(
                f"steps[{mirrored[0]}].mirror: a mirrored request runs at both versions; set mayBeCalledTwice: true if "
                "that does no harm, or leave the step out"
            )
        return self
