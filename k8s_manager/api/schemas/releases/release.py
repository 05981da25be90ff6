"""The release of a model: how far requests have come to another version, and what was found on the way."""

from typing import Literal

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer, optional


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


class BlockedCandidate(ApiAnswer):
    """A version that failed its release; it gets no requests before an operator asks for retry."""

    version: str
    reason: str
    at: str


class ReleaseSummary(ApiAnswer):
    """The release of a model, under way or the last one."""

    phase: str = Field(description="Complete: requests go where the document says.")
    stable: str = Field(description="The version to which requests go back.")
    candidate: str = optional(description="The version to which requests come.")
    step: int = optional(description="The step that is under way, from 1 on; the last one is 100 %.")
    steps: int = optional()
    weights: list[VersionWeight]
    reason: str
    message: str
    started: str = optional()
    since: str = optional(description="Since when the step lasts.")
    checks: list[ReleaseCheckResult] = optional()
    blocked: list[BlockedCandidate] = optional()
    handled: str = optional(description="The annotation that was answered last.")


class ModelRelease(ApiAnswer):
    """The release of a model, and in sentences what it waits for."""

    model: str
    release: ReleaseSummary | None
    explanation: list[str]
