"""What a selection says: from which version to which and why, or why there is no change."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from k8s_manager.release.selection.version_facts import ModelVersionFact


class NoChangeReason(StrEnum):
    """Why no other version is chosen."""

    RELEASING = "ReleaseUnderWay"
    PINNED = "Pinned"
    PINNED_BLOCKED = "PinnedVersionBlocked"
    NO_PIN = "NothingPinned"
    NOT_APPROVED = "ApprovalMissing"
    ALIAS_SERVES = "AliasServes"
    NO_ALIAS = "NoVersionWithAlias"
    ALIAS_BLOCKED = "AliasedVersionBlocked"
    NOT_DUE = "NotDue"
    WITHIN_LIMITS = "WithinLimits"
    FIGURES_MISSING = "FiguresMissing"
    NO_CANDIDATE = "NoEligibleVersion"
    NOT_BETTER = "NotBetter"
    NOT_COMPARABLE = "ServedVersionUnknown"


@dataclass(frozen=True, slots=True)
class SelectionEvidence:
    """One reason of a decision: a sentence, and the figures that it rests on, by name."""

    sentence: str
    figures: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class VersionRejection:
    """Why a version is not eligible, as a clause."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class SelectionDecision:
    """That another version should serve: `from_` (None: nothing served) and `to`; by which strategy and evidence; not
    to be released before a moment, nor begun after another; and which versions were not eligible."""

    from_: str | None
    to: str
    strategy: str
    evidence: tuple[SelectionEvidence, ...]
    not_before: datetime
    expires: datetime
    rejected: tuple[VersionRejection, ...] = ()


@dataclass(frozen=True, slots=True)
class NoSelection:
    """That nothing changes, and why: a reason, a sentence that says what to do where something is wrong, and which
    versions were not eligible. `needs_owner`: the owner of the model should hear of it."""

    strategy: str
    reason: NoChangeReason
    sentence: str
    rejected: tuple[VersionRejection, ...] = ()
    needs_owner: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """What a strategy alone says: the version, and its evidence."""

    version: ModelVersionFact
    evidence: tuple[SelectionEvidence, ...]
    rejected: tuple[VersionRejection, ...] = ()


@dataclass(frozen=True, slots=True)
class NoChoice:
    """That a strategy chooses nothing, and why."""

    reason: NoChangeReason
    sentence: str
    rejected: tuple[VersionRejection, ...] = ()
    needs_owner: bool = False
