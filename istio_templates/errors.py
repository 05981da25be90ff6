"""What can go wrong, sorted by what the reader should do about it.

    TidegateError
    ├── Invalid       the document is wrong; its author changes it (`problems` lists every field)
    ├── Conflict      another owner has what is asked for; talk to the named owner or read again
    ├── NotFound      what is named is not there
    ├── Waiting       nothing is wrong; come back after `after` seconds
    ├── Transient     a call failed in a way that passes; it is tried again
    └── Stalled       only an operator can go on; the message says how

A message has three parts: what happened, to which object, what to do. However much is wrong, an error lists
`MOST_PROBLEMS` problems, each of a bounded length: its text costs no more than a person reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_PROBLEMS = 20
_LONGEST_FIELD, _LONGEST_MESSAGE = 300, 2000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a document: the field by its path, and what would be right."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def listed(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return the first `MOST_PROBLEMS` problems, cut to what is read of each, and how many more there are."""
    found = tuple(
        Problem(_cut(problem.field, _LONGEST_FIELD), _cut(problem.message, _LONGEST_MESSAGE))
        for problem in problems[:MOST_PROBLEMS]
    )
    more = len(problems) - len(found)
    return (*found, Problem("", f"{more} more problems are not listed; correct these first")) if more else found


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


class TidegateError(Exception):
    """The root of the tree; never raised itself."""


class Invalid(TidegateError):
    """A document that its author has to change; `count` is of all problems, also those that are not listed."""

    def __init__(self, subject: str, problems: Sequence[Problem]) -> None:
        self.subject = _cut(subject, _LONGEST_FIELD)
        self.problems, self.count = listed(problems), len(problems)
        super().__init__(f"{self.subject}: " + "; ".join(str(problem) for problem in self.problems))


class Conflict(TidegateError):
    """A claim on what another owner holds, or a write that came too late; `count` as that of `Invalid`."""

    def __init__(self, subject: str, problems: Sequence[Problem]) -> None:
        self.subject = _cut(subject, _LONGEST_FIELD)
        self.problems, self.count = listed(problems), len(problems)
        super().__init__(f"{self.subject}: " + "; ".join(str(problem) for problem in self.problems))


class NotFound(TidegateError):
    """A name without an object; `problems` say at which fields of a document it stands, where it stands in one."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = listed(problems)
        super().__init__(message)


class Waiting(TidegateError):
    """Nothing to do yet; `after` is in seconds."""

    def __init__(self, message: str, after: float) -> None:
        self.after = after
        super().__init__(message)


class Transient(TidegateError):
    """A failure that passes by itself."""


class Stalled(TidegateError):
    """A state that only an operator can end."""


class Outdated(TidegateError):
    """An If-Match that names another version than the current one (412)."""
