"""The newest lines of the audit trail in memory, for callers that ask for them.

Each manager remembers the calls that it answered itself, since it began, and says so: the trail as a whole is what all
managers have written.
"""

import base64
import binascii
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from istio_templates.errors import Invalid, Problem
from k8s_manager.runtime.clock import Clock

MOST_LINES = 2_000
MOST_BYTES = 4 * 2**20
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


class AuditMemory:
    """The newest lines of one manager; `has_peers` where others may answer calls too."""

    def __init__(self, clock: Clock, manager: str, has_peers: bool) -> None:
        self.manager, self._has_peers = manager, has_peers
        self._began = clock.utc()
        self._kept: deque[tuple[int, int, Line]] = deque()
        self._count = self._bytes = 0

    @property
    def since(self) -> datetime:
        """From when on the memory has every line of this manager."""
        forgot = self._count > len(self._kept)
        return datetime.fromisoformat(self._kept[0][2]["time"]) if forgot and self._kept else self._began

    def keep(self, line: Line, size: int) -> None:
        """Remember a line of so many bytes, and forget the oldest ones where that is too much."""
        self._count += 1
        self._bytes += size
        self._kept.append((self._count, size, line))
        while len(self._kept) > MOST_LINES or (self._bytes > MOST_BYTES and len(self._kept) > 1):
            self._bytes -= self._kept.popleft()[1]

    def page(self, query: AuditQuery, limit: int, after: str | None) -> AuditPage:
        """Return the newest lines that are asked for, at most `limit`; raises `Invalid` for a token that this manager
        has not given."""
        found = self._matching(query, None if after is None else self._number(after))
        lines: list[Line] = []
        last = 0
        for number, line in found:
            if len(lines) == limit:
                return AuditPage(lines, self._token(last))
            lines.append(line)
            last = number
        return AuditPage(lines, None)

    def gaps(self, query: AuditQuery) -> list[str]:
        """Return in sentences why lines that are asked for may be missing."""
        found = []
        if query.start is None or query.start < self.since.timestamp():
            found.append(f"this manager remembers its calls since {self.since:%Y-%m-%dT%H:%M:%SZ}")
        if self._has_peers:
            found.append("calls that other managers answered stand in their own trails")
        return found

    def _matching(self, query: AuditQuery, before: int | None) -> Iterator[tuple[int, Line]]:
        for number, _, line in reversed(self._kept):
            if (before is None or number < before) and query.matches(line):
                yield number, line

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
            pass
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
