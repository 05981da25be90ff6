"""Condition of a document (Gateway API conventions)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """Status condition before its transition time is set; `holds` is None where that is not known."""

    type: str
    holds: bool | None
    reason: str
    message: str
