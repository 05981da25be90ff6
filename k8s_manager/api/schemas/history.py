"""The revisions of a document."""

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer, optional


class RevisionLine(ApiAnswer):
    """One revision: who made it, when and why."""

    revision: int
    at: str | None
    by: str
    reason: str
    ticket: str
    current: bool
    deletion: bool = Field(description="Whether this is the deletion of the document.")


class RevisionSummary(RevisionLine):
    """A revision with its spec, and where that was asked for, what differs from another one."""

    diff: str = optional(description="A unified diff, with ?against=.")


class RevisionList(ApiAnswer):
    """The revisions of a document, the newest first."""

    items: list[RevisionLine]
