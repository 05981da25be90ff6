"""What a document says of how one version takes over from another: steps, checks, and what trouble leads to. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from collectors.access_log.outcomes import CLIENT_ERRORS, NO_ANSWER, SERVER_ERRORS

WHOLE = 100
OUTCOME_GROUPS = {"5xx": SERVER_ERRORS, "4xx": CLIENT_ERRORS, "noAnswer": NO_ANSWER}
"""What a check calls an outcome, and the outcomes of the access log that it means."""


class TroubleRule(StrEnum):
    """What a failed or an inconclusive check leads to: back to the stable version, or stop where the weights are."""

    ABORT = "abort"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class ReleaseStep:
    """One step: the share of the requests (whole per cent) that the new version answers, and the share that it is sent
    as well, with its answers thrown away. `hold` (seconds) and `min_requests` are the release's where they are None.

    With `approval` the step ends only when a person has approved it.
    """

    weight: int = 0
    mirror: int = 0
    hold: float | None = None
    min_requests: int | None = None
    approval: bool = False


LAST = ReleaseStep(WHOLE)


@dataclass(frozen=True, slots=True)
class OutcomeCheck:
    """The share of requests with an outcome (a key of `OUTCOME_GROUPS`): at most `most`, or at most so many times the
    stable version's share in the same minutes, whichever is more."""

    name: str
    outcome: str
    most: float | None = None
    times_stable: float | None = None


@dataclass(frozen=True, slots=True)
class QuantileCheck:
    """A quantile of the latency: at most `most` seconds, or at most so many times the stable version's in the same
    minutes, whichever is more."""

    name: str
    quantile: float
    most: float | None = None
    times_stable: float | None = None


@dataclass(frozen=True, slots=True)
class ExternalCheck:
    """What another system says: a Prometheus query, whose value has to lie within bounds, a webhook, or a Job."""

    name: str
    source: Literal["prometheus", "webhook", "job"]
    least: float | None = None
    most: float | None = None


ReleaseCheck = OutcomeCheck | QuantileCheck | ExternalCheck


@dataclass(frozen=True, slots=True)
class ReleaseRules:
    """How versions of a model take over from each other; times in seconds.

    The weights of `steps` do not go down; 100 % follows by itself. `hold` is the least time of a step, `max_duration`
    the longest of a release until it has 100 % (pauses not counted). For `drain` after that the stable version keeps
    its replicas.
    """

    steps: tuple[ReleaseStep, ...] = ()
    checks: tuple[ReleaseCheck, ...] = ()
    hold: float = 120.0
    min_requests: int = 0
    on_failure: TroubleRule = TroubleRule.ABORT
    on_inconclusive: TroubleRule = TroubleRule.HOLD
    on_window_end: TroubleRule = TroubleRule.HOLD
    max_duration: float = 86_400.0
    drain: float = 600.0

    @property
    def last(self) -> int:
        """The index of the step to 100 %."""
        return len(self.steps)

    @property
    def plan(self) -> str:
        """The steps in one text, by which a change of them is noticed."""
        return ",".join(f"{step.weight}+{step.mirror}" for step in self.steps)

    @property
    def statistical_checks(self) -> int:
        """How many checks go by statistics of requests."""
        return sum(not isinstance(check, ExternalCheck) for check in self.checks)

    def step(self, index: int) -> ReleaseStep:
        """Return a step, the one to 100 % behind all others."""
        return self.steps[index] if index < self.last else LAST

    def hold_of(self, index: int) -> float:
        """Return the seconds that a step lasts at the least."""
        hold = self.step(index).hold
        return self.hold if hold is None else hold

    def min_requests_of(self, index: int) -> int:
        """Return how many requests the new version answers in a step at the least."""
        least = self.step(index).min_requests
        return self.min_requests if least is None else least
