"""What an operator asks of a release: an annotation of the Model, written by the API or with kubectl. Pure.

Its text is an action, and after blanks whatever else: the API adds the moment, who asks and why. A text that the
release has answered is in its status and counts no more; to ask for the same again, change the text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

ANNOTATION = "tidegate.dev/release"
MOST_TEXT = 1024
"""Characters of the annotation that count."""


class ReleaseAction(StrEnum):
    """What can be asked of a release."""

    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    ABORT = "abort"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """An action that is asked for, and the whole text by which it is known."""

    action: ReleaseAction
    text: str


@dataclass(frozen=True, slots=True)
class UnknownAction:
    """A text that begins with no action, and the sentence that says so."""

    text: str
    message: str


def request_of(annotations: Mapping[str, str]) -> ReleaseRequest | UnknownAction | None:
    """Return what the annotations of a Model ask for; None where they ask for nothing."""
    text = annotations.get(ANNOTATION, "")[:MOST_TEXT].strip()
    if not text:
        return None
    word = text.split(maxsplit=1)[0]
    try:
        return ReleaseRequest(ReleaseAction(word), text)
    except ValueError:
        known = ", ".join(ReleaseAction)
        return UnknownAction(text, f"annotation {ANNOTATION} asks for {word[:40]!r}; write one of {known}")


def request_text(action: ReleaseAction, at: str, by: str, reason: str) -> str:
    """Return the text of an annotation that asks for an action."""
    said = f": {' '.join(reason.split())}" if reason else ""
    return f"{action} {at} by {by}{said}"[:MOST_TEXT]
