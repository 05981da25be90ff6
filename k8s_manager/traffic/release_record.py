"""What outlives the status of a release: an annotation of its Model, which a backup has too. Pure.

A status goes with its cluster. As long as the stable version is another than the one at which the document points, or
versions are blocked, an annotation says so; it is read where there is no status, and never against one.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

MOST_BLOCKED, MOST_REASON, MOST_TEXT = 16, 300, 16_384
"""Blocks that are recorded (the last ones), characters of each reason, and of an annotation that is read."""


@dataclass(frozen=True, slots=True)
class RecordedBlock:
    """A version that failed, why, and when (epoch seconds)."""

    version: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """The stable version of a model, the versions that are blocked, and what an operator asked for last."""

    stable: str
    blocked: tuple[RecordedBlock, ...] = ()
    handled: str = ""

    @property
    def text(self) -> str:
        """The annotation."""
        blocked = [
            {"version": one.version, "reason": one.reason[:MOST_REASON], "at": round(one.at)}
            for one in self.blocked[-MOST_BLOCKED:]
        ]
        return json.dumps({"stable": self.stable, "blocked": blocked, "handled": self.handled}, separators=(",", ":"))


def record_in(text: str) -> ReleaseRecord | None:
    """Return the record in an annotation; None where there is none, or others have written something else."""
    if not text or len(text) > MOST_TEXT:
        return None
    try:
        found = json.loads(text)
        stable, handled, blocked = found["stable"], found["handled"], tuple(_blocked(found["blocked"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(stable, str) or not stable or not isinstance(handled, str) or len(blocked) > MOST_BLOCKED:
        return None
    return ReleaseRecord(stable, blocked, handled)


def _blocked(found: Iterable[Any]) -> Iterator[RecordedBlock]:
    for one in found:
        version, reason, at = one["version"], one["reason"], one["at"]
        if not isinstance(version, str) or not isinstance(reason, str) or type(at) is not int or not 0 <= at < 2**33:
            raise ValueError("no block")
        yield RecordedBlock(version, reason, float(at))
