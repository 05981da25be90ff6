"""One condition of a document, as it is told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition before it is dated."""

    type: str
    holds: bool
    reason: str
    message: str
