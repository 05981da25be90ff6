"""The selection of a model: which version should serve, and why."""

from typing import Literal

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer, optional


class RejectedVersion(ApiAnswer):
    """A version that may not be chosen, and why."""

    version: str
    why: str


class VersionChoice(ApiAnswer):
    """Which version should serve. Without `to` none should but the one that does."""

    strategy: Literal["dataDriven", "accuracyDriven", "periodicBest", "threshold", "manual"]
    reason: str = Field(description="The reason of the condition Selected.")
    message: str
    needs_owner: bool = Field(description="Whether the owner of the model has something to do.")
    to: str = optional()
    source: str = optional("from", "The version that serves.")
    not_before: str = optional()
    expires: str = optional(description="When a choice that was not carried out counts as late.")
    evidence: list[str]
    rejected: list[RejectedVersion]


class SelectedVersion(ApiAnswer):
    """The version that a selection has put into a model's document, as it was registered then."""

    version: str
    image: str
    uri: str
    digest: str
    instead: str = Field(description="The version at which the document as it is written points.")


class ModelSelection(ApiAnswer):
    """The selection of a model as it is now, in sentences too; null where its document has none."""

    model: str
    selection: VersionChoice | None
    explanation: list[str]
