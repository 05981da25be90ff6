"""The release of a model: how far requests have come to another version, and what was found on the way."""

from typing import Literal

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer, optional
from k8s_manager.release.decision.state import ReleasePhase, ReleaseReason


class VersionWeight(ApiAnswer):
    """The per cent of requests that a version has."""

    version: str
    weight: int


class ReleaseCheckResult(ApiAnswer):
    """What a check found in the step that is under way, or in the last one."""

    name: str
    verdict: Literal["pass", "fail", "inconclusive"]
    message: str
    value: float = optional(description="A share, seconds, or the figure of a query.")
    stable: float = optional(description="The same of the stable version in the same minutes.")
    bound: float = optional(description="What it was held against.")
    requests: int = optional(description="The new version's requests that were looked at.")
    at: str
    failures: int = Field(description="Readings in a row that were out of bounds, of a source that needs two.")
    final: bool = optional(description="Whether a webhook or a Job has decided for the whole step.")


class BlockedRelease(ApiAnswer):
    """A version that failed its release; it gets no requests before an operator asks for retry."""

    version: str
    reason: str
    at: str


class ReleaseHours(ApiAnswer):
    """The quiet hours that were chosen for a release, and why; without a start none come, and they are looked for again
    at the end."""

    start: str = optional()
    end: str
    message: str


class ReleaseSummary(ApiAnswer):
    """The release of a model, under way or the last one; a new leader goes on from it alone."""

    phase: ReleasePhase = Field(description="Done and Aborted are its ends.")
    reason: ReleaseReason = Field(description="Why it stands there; the condition Released has it too.")
    message: str
    stable: str = Field(description="The version to which requests go back.")
    version: str = Field(description="The version to which they come; the stable one where nothing is released.")
    weights: list[VersionWeight]
    weight: int = Field(description="The per cent of the version that is released.")
    mirror: int = optional(description="The per cent of requests that is mirrored to it; its answers are thrown away.")
    step: int = Field(description="The step that is prepared or under way, from 1 on; the last one is 100 %.")
    steps: int
    begun: bool = Field(description="Whether the step has its weight.")
    reached: int = Field(description="The last step that ever had its weight; 0 for none.")
    live: bool = Field(description="Whether the routes were seen with these weights.")
    forced: bool = Field(description="Whether an operator has promoted it.")
    kept: int = Field(description="The replicas that the stable version keeps.")
    plan: str = Field(description="The steps as they were when it was looked at last.")
    handled: str = Field(description="The annotation that was handled last.")
    approved: list[int] = Field(description="The steps that operators have approved.")
    checks: list[ReleaseCheckResult]
    blocked: list[BlockedRelease]
    window: ReleaseHours = optional()
    previous: str = optional(description="The version that was stable before this one.")
    started: str = optional()
    since: str = optional(description="Since when the present weights hold.")
    paused: str = optional()


class ModelRelease(ApiAnswer):
    """The release of a model, and in sentences what it waits for."""

    model: str
    release: ReleaseSummary | None
    explanation: list[str]


class ReleasePlan(ApiAnswer):
    """The release of a model as it would be after what was asked for, without a look at its requests."""

    dry_run: Literal[True]
    model: str
    release: ReleaseSummary | None
    reasons: list[str]
