"""The page of what happened: events, and for who may read it the audit trail, in one line of time."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from istio_templates.errors import Problem
from k8s_manager.api.audit_memory import caller_in, document_in
from k8s_manager.console import ROOT
from k8s_manager.console.api_client import LIMIT
from k8s_manager.console.page import PageReader, page, searched
from k8s_manager.console.pages.page_window import window
from k8s_manager.console.site import ConsoleSite, reader_of
from k8s_manager.statistics.stats_query import moment_in

CALL = "call"
"""The kind of a line of the audit trail, beside the types of events."""
MOST_CALLS = 1_000
"""Calls on the page, as many as there are events."""
OUTCOMES = ("done", "refused", "failed")


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """What of the changes is asked for: texts as they were typed, moments as epoch seconds, and what is wrong."""

    about: str = ""
    by: str = ""
    kind: str = ""
    outcome: str = ""
    start: str = ""
    end: str = ""
    first: float | None = None
    last: float | None = None
    problems: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, request: Request) -> "ChangeFilter":
        """Return the filter in the address of a page."""
        given, problems = request.query_params, list[Problem]()
        start, end = given.get("from", "").strip(), given.get("to", "").strip()
        first = moment_in("from", start or None, None, problems)
        last = moment_in("to", end or None, None, problems)
        outcome = given.get("outcome", "")
        return cls(
            searched(request),
            given.get("by", "").strip(),
            given.get("type", ""),
            outcome if outcome in OUTCOMES else "",
            start,
            end,
            first,
            last,
            tuple(problems),
        )

    @property
    def query(self) -> dict[str, str]:
        """The filter as it stands in an address."""
        found = {"q": self.about, "by": self.by, "type": self.kind, "outcome": self.outcome}
        return {name: value for name, value in {**found, "from": self.start, "to": self.end}.items() if value}

    @property
    def is_of_calls(self) -> bool:
        """Whether only calls can match: events name no caller and have no outcome."""
        return bool(self.by or self.outcome) or self.kind == CALL

    @property
    def start_in_utc(self) -> str:
        """The first moment as a field of a form has it; empty where there is none."""
        return _field(self.first)

    @property
    def end_in_utc(self) -> str:
        """The last moment in the same form."""
        return _field(self.last)

    def holds_at(self, time: str) -> bool:
        """Tell whether a moment is in the span."""
        at = datetime.fromisoformat(time).timestamp()
        return (self.first is None or self.first <= at) and (self.last is None or at < self.last)


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One event or call, as a line of the page; `who` is empty for an event."""

    time: str
    kind: str
    subject: str
    message: str
    who: str = ""
    outcome: str = ""
    status: int = 0


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    return [Route(f"{ROOT}/changes", site.read(changes))]


async def changes(request: Request) -> Response:
    """Show what happened lately, the newest first."""
    reader, asked = reader_of(request), ChangeFilter.of(request)
    sees_calls = reader.may("manage")
    if not sees_calls:
        asked = replace(asked, by="", outcome="", kind="" if asked.kind == CALL else asked.kind)
    events, (calls, gaps) = await asyncio.gather(
        reader.api.get("/v1/events", follow="false"), _calls(reader, asked) if sees_calls else _nothing()
    )
    types = sorted({one["type"] for one in events["items"]})
    lines = sorted([*_of_events(events["items"], asked), *calls], key=lambda line: line.time, reverse=True)
    shown = window([] if asked.problems else lines, request.query_params.get("page", "1"))
    return page(
        request,
        "changes.html",
        title="Changes",
        shown=shown,
        asked=asked,
        types=types,
        gaps=gaps,
        sees_calls=sees_calls,
    )


def _field(moment: float | None) -> str:
    with suppress(OverflowError, ValueError, OSError):
        return "" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M}"
    return ""


async def _nothing() -> tuple[list[ChangeLine], list[str]]:
    return [], []


async def _calls(reader: PageReader, asked: ChangeFilter) -> tuple[list[ChangeLine], list[str]]:
    """Return the calls that are asked for, and why some may be missing."""
    if asked.problems or asked.kind not in ("", CALL):
        return [], []
    query = {"by": asked.by, "about": asked.about, "outcome": asked.outcome, "from": asked.start, "to": asked.end}
    given = {name: value for name, value in query.items() if value}
    found = await reader.api.get("/v1/audit", **given, limit=str(LIMIT))
    lines = found["items"]
    while "continue" in found and len(lines) < MOST_CALLS:
        found = await reader.api.get("/v1/audit", **given, limit=str(LIMIT), **{"continue": found["continue"]})
        lines += found["items"]
    more = [f"only the newest {len(lines)} that match are shown; narrow the filter"] if "continue" in found else []
    return [_call_line(line) for line in lines], [*more, *found["gaps"]]


def _call_line(line: Mapping[str, Any]) -> ChangeLine:
    query = f"?{line['query']}" if line["query"] else ""
    message = f"{line['method']} {line['path']}{query}"
    who = caller_in(line) or f"unknown, from {line['from'] or 'nowhere'}"
    return ChangeLine(line["time"], CALL, document_in(line), message, who, line["outcome"], line["status"])


def _of_events(events: list[Mapping[str, Any]], asked: ChangeFilter) -> Iterator[ChangeLine]:
    if asked.is_of_calls:
        return
    for one in events:
        if asked.kind and one["type"] != asked.kind:
            continue
        if asked.about and asked.about not in f"{one['object']} {one['message']}".lower():
            continue
        if asked.holds_at(one["time"]):
            yield ChangeLine(one["time"], one["type"], one["object"], one["message"])
