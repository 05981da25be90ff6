"""What was changed, when and by whom: the revisions of a document, and lines of the audit trail."""

from typing import Literal

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


class AuditLine(ApiAnswer):
    """One change that was asked for, or one call that was refused; nothing of its body."""

    time: str
    request: str = Field(description="The id in X-Request-Id, in problems and in the log.")
    user: str | None = Field(description="Who called; null where no identity was proved.")
    source: str | None = Field(description="The authentication method; null for the manager's own token.")
    groups: list[str]
    address: str | None = Field(alias="from", description="The address that the call came from.")
    method: str
    path: str
    query: str
    status: int
    outcome: Literal["done", "refused", "failed"]
    object: str = optional(description="The document that was written, as KIND NAME or KIND NAMESPACE/NAME.")
    uid: str = optional()
    generation: int = optional()


class AuditTrail(ApiAnswer):
    """The newest lines of one manager's trail that match, the newest first."""

    items: list[AuditLine]
    continue_: str = optional("continue", "For the lines before these, at the same manager.")
    manager: str | None = Field(description="Whose trail this is; null where the trail is switched off.")
    since: str | None = Field(description="From when on this manager remembers every line that can match.")
    partial: bool = Field(description="Whether lines that match may be missing; `gaps` says why.")
    gaps: list[str]
