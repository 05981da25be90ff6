"""What renderers need to know of matches and of sticky assignment."""

from dataclasses import dataclass

MOST_ARMS = 8
"""Arms of a model, besides its weights."""
WEIGHTS = "weights"
"""Stands for the requests that the weights divide, where arms are shown: no arm may have this name."""


@dataclass(frozen=True, slots=True)
class ArmFacts:
    """Requests that pass all `tests` (header, how it is compared, text) come to `version`; `name` is the arm's."""

    name: str
    version: str
    tests: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class StickyFacts:
    """By whose hash weights divide callers: a `header`, or else a `cookie`."""

    header: str | None = None
    cookie: str | None = None
