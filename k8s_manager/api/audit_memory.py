"""The newest lines of the audit trail in memory, for callers that ask for them.

Each manager remembers the calls that it answered itself, since it began, and says so: the trail as a whole is what all
managers have written.
"""

import base64
import binascii
import heapq
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import dropwhile, islice
from operator import itemgetter
from typing import Any

from istio_templates.errors import Invalid, Problem
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.timestamp import timestamp

MOST_LINES, MOST_REFUSED = 2_000, 1_000
MOST_BYTES = 4 * 2**20
"""Of each of both."""
REFUSED = "refused"
_MODEL = re.compile(r"/v1/tenants/([^/]+)/(?:models|overrides)/([^/]+)")
_DOCUMENT = re.compile(r"/v1/[a-z]+/([^/]+)")
Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which lines are asked for: part of the caller's name, part of what it was about, a span in epoch seconds (from
    `start` on, before `end`), and an outcome. What is empty leaves out nothing."""

    by: str = ""
    about: str = ""
    start: float | None = None
    end: float | None = None
    outcome: str = ""

    def matches(self, line: Line) -> bool:
        """Tell whether a line is asked for."""
        if self.outcome and line["outcome"] != self.outcome:
            return False
        if self.by and self.by.lower() not in caller_in(line).lower():
            return False
        if self.about and self.about.lower() not in _subject(line).lower():
            return False
        if self.start is None and self.end is None:
            return True
        at = datetime.fromisoformat(line["time"]).timestamp()
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Lines, the newest first, and the token of those before them; None at the end."""

    lines: list[Line]
    following: str | None


class RecentLines:
    """The newest lines, numbered, at most so many and so many bytes."""

    def __init__(self, most: int, began: datetime) -> None:
        self._most, self._since, self._bytes = most, began, 0
        self.kept: deque[tuple[int, int, Line]] = deque()

    @property
    def since(self) -> datetime:
        """From when on there is every line."""
        return self._since

    def before(self, number: int) -> Iterator[tuple[int, int, Line]]:
        """Yield the lines before one of a number, the newest first, each with its number and its bytes."""
        return dropwhile(lambda kept: kept[0] >= number, reversed(self.kept))

    def add(self, number: int, size: int, line: Line) -> None:
        """Remember a line of so many bytes, and forget the oldest ones where that is too much."""
        self.kept.append((number, size, line))
        self._bytes += size
        while len(self.kept) > self._most or (self._bytes > MOST_BYTES and len(self.kept) > 1):
            self._bytes -= self.kept.popleft()[1]
            self._since = datetime.fromisoformat(self.kept[0][2]["time"])


class AuditMemory:
    """The newest lines of one manager; `has_peers` where others may answer calls too.

    Refused calls have a place of their own: without end, they would push out who changed what.
    """

    def __init__(self, clock: Clock, manager: str, has_peers: bool) -> None:
        self.manager, self._has_peers = manager, has_peers
        self._count = 0
        self._refused = RecentLines(MOST_REFUSED, clock.utc())
        self._others = RecentLines(MOST_LINES, clock.utc())

    def keep(self, line: Line, size: int) -> None:
        """Remember a line of so many bytes."""
        self._count += 1
        (self._refused if line["outcome"] == REFUSED else self._others).add(self._count, size, line)

    def since(self, query: AuditQuery) -> datetime:
        """Return from when on this manager remembers every line that can match."""
        return max(lines.since for lines in self._where(query))

    def page(self, query: AuditQuery, limit: int, after: str | None) -> AuditPage:
        """Return the newest lines that are asked for, at most `limit`; raises `Invalid` for a token that this manager
        has not given."""
        before = self._count + 1 if after is None else self._number(after)
        earlier = (lines.before(before) for lines in self._where(query))
        merged = heapq.merge(*earlier, key=itemgetter(0), reverse=True)
        found = ((number, line) for number, _, line in merged if query.matches(line))
        kept = list(islice(found, limit + 1))
        following = self._token(kept[limit - 1][0]) if len(kept) > limit else None
        return AuditPage([line for _, line in kept[:limit]], following)

    def gaps(self, query: AuditQuery) -> list[str]:
        """Return in sentences why lines that are asked for may be missing."""
        since, found = self.since(query), []
        if query.start is None or query.start < since.timestamp():
            found.append(f"this manager remembers its calls since {timestamp(since)}")
        if self._has_peers:
            found.append("calls that other managers answered stand in their own trails")
        return found

    def _where(self, query: AuditQuery) -> tuple[RecentLines, ...]:
        """Return where lines that can match are."""
        if not query.outcome:
            return self._refused, self._others
        return (self._refused,) if query.outcome == REFUSED else (self._others,)

    def _token(self, number: int) -> str:
        return base64.urlsafe_b64encode(f"{self.manager}/{number}".encode()).decode()

    def _number(self, token: str) -> int:
        try:
            manager, _, number = (
                base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode().rpartition("/")
            )
            if manager == self.manager:
                return int(number)
        except (binascii.Error, ValueError):
            pass  # no token at all, or not of this form: the same answer
        said = "is not what this manager has said; begin again without it, and ask one manager for all pages"
        raise Invalid("the audit trail", [Problem("continue", said)])


def caller_in(line: Line) -> str:
    """Return who called, behind the authentication method; empty where no identity was proved."""
    user = line["user"]
    if user is None:
        return ""
    return f"{line['source']}:{user}" if line["source"] else str(user)


def document_in(line: Line) -> str:
    """Return what a call was about as people write it: the document that it wrote, else the one in its path, else
    nothing."""
    if noted := line.get("object"):
        return str(noted).partition(" ")[2] or str(noted)
    if found := _MODEL.match(line["path"]):
        return f"{found[1]}/{found[2]}"
    found = _DOCUMENT.match(line["path"])
    return found[1] if found else ""


def _subject(line: Line) -> str:
    return f"{line.get('object', '')} {document_in(line)} {line['path']}"
