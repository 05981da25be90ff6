"""Condition of a document (Gateway API conventions)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """Status condition before its transition time is set."""

    type: str
    holds: bool
    reason: str
    message: str
