"""What a write would do: objects that change, what that touches, how risky it is, and a fingerprint of it all."""

from typing import Any, Literal

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer, optional


class PatchOperation(ApiAnswer):
    """One operation of a JSON patch (RFC 6902)."""

    op: str
    path: str
    value: Any = optional()
    source: str = optional("from")


class PlannedChange(ApiAnswer):
    """One object that would change."""

    operation: Literal["create", "update", "delete", "adopt"]
    object: str
    diff: str
    patch: list[PatchOperation]
    server: str = Field(description="What the API server says of it.")


class PlanTouches(ApiAnswer):
    """What a change would touch of running traffic."""

    hosts: list[str]
    listeners: bool
    routes: bool
    pods: bool


class LimitShift(ApiAnswer):
    """A limit as it is and as it would be; null where there is none."""

    before: float | None
    after: float | None
    mode_before: str = optional()
    mode_after: str = optional()


class CallerEffect(ApiAnswer):
    """One effect on what callers may send, and how bad it is."""

    subject: str
    grade: Literal["low", "medium", "high"]
    message: str


class WritePlan(ApiAnswer):
    """What a write would do. With `fingerprint` it is done only while it would still do that."""

    dry_run: Literal[True]
    changes: list[PlannedChange]
    touches: PlanTouches
    limit: LimitShift | None
    limits: dict[str, LimitShift]
    effects: list[CallerEffect]
    risk: Literal["low", "medium", "high"]
    reasons: list[str]
    fingerprint: str


class BundlePlan(WritePlan):
    """What several writes, or a deletion with all that depends on it, would do together."""

    documents: list[str]
    kept: list[str] = optional(description="What a deletion leaves where it is, and why.")


class RenderedManifests(ApiAnswer):
    """The manifests that follow from some documents alone."""

    items: list[dict[str, Any]]
