"""What is asked of statistics: a span of time in steps. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from collectors.access_log.rows import WINDOW
from collectors.request_statistics.row_query import FILE_STEP, RowQuery, fine_since, kept_since
from collectors.request_statistics.series import MINUTE
from istio_templates.documents.fields import seconds
from istio_templates.errors import Invalid, Problem

MOST_POINTS = 2_000
"""Steps in one answer."""
LAST = 15 * 60
"""Seconds before its end at which a span begins where nothing else is said."""
SETTLED, SOON = 20, 8
"""Seconds until all requests of a moment are in the statistics of all gateway pods, and until most of them are: a
window stays open for 5 s, and lines are on their way."""
_POINTS = 60
_STEPS = (10, 30, 60, 300, 900, 3600)
Default = TypeVar("Default", float, None)
_EPOCH = re.compile(r"\d{1,11}(\.\d{1,9})?")


@dataclass(frozen=True, slots=True)
class AskedSpan:
    """A span as it is asked for: two moments and a step as text, each None where it is left out."""

    start: str | None = None
    end: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Epoch seconds from `start` on and before `end`, in steps of seconds; both are whole steps. `kept` is since when
    collectors keep anything in memory; `is_raised` tells whether the step is longer than asked for, since rows that are
    older are kept in files."""

    start: int
    end: int
    step: int
    kept: int
    is_raised: bool = False

    def query(
        self, level: str, now: float, gateway: str = "", tenant: str = "", model: str = "", arms: bool = False
    ) -> RowQuery:
        """Return what is asked of collectors for this span; with `arms` they tell those of versions apart."""
        fine, grain = fine_since(now), MINUTE
        if self.step % FILE_STEP == 0:
            fine, grain = -(-fine // FILE_STEP) * FILE_STEP, FILE_STEP
        return RowQuery(level, self.start, self.end, self.step, fine, gateway, tenant, model, grain, arms)


def counted_minute(now: float) -> tuple[int, int]:
    """Return the last whole minute whose requests have been counted (epoch seconds)."""
    end = int(now - SETTLED) // MINUTE * MINUTE
    return end - MINUTE, end


def time_span(asked: AskedSpan, now: float) -> TimeSpan:
    """Return the span that is asked for; raises `Invalid`.

    Moments are RFC 3339 or epoch seconds. Steps are tens of seconds; of what is older than a quarter of an hour there
    are minutes only, so that a shorter step becomes a minute, and of what is older than six hours five minutes. A
    moment to come stands for now.
    """
    problems: list[Problem] = []
    last = min(moment_in("to", asked.end, now, problems), now + WINDOW)
    first = moment_in("from", asked.start, last - LAST, problems)
    width = _step(asked.step, last - first, problems)
    if problems:
        raise Invalid("statistics", problems)
    if first >= last:
        raise Invalid("statistics", [Problem("from", "it is not before `to`; give an earlier moment")])
    is_old = int(first // width) * width < kept_since(now)
    is_raised = is_old and asked.step is not None and width < FILE_STEP
    if is_old:
        width = -(-width // FILE_STEP) * FILE_STEP
    elif int(first // width) * width < fine_since(now):
        width = -(-width // MINUTE) * MINUTE
    begin, ends = int(first // width) * width, -int(-last // width) * width
    if (ends - begin) // width > MOST_POINTS:
        most = f"more than {MOST_POINTS} steps of {width} s; give a longer step or a shorter span"
        raise Invalid("statistics", [Problem("step", most)])
    return TimeSpan(begin, ends, width, kept_since(now), is_raised)


def moment_in(name: str, text: str | None, default: Default, problems: list[Problem]) -> float | Default:
    """Return the moment (epoch seconds) in a parameter: RFC 3339, in UTC where it names no zone, or epoch seconds. What
    is no moment is a problem more, and the default."""
    if text is None:
        return default
    if _EPOCH.fullmatch(text):
        return float(text)
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
        return found.replace(tzinfo=found.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        right = "2026-11-29T12:00:00Z or seconds since 1970"
        problems.append(Problem(name, f"{text[:60]!r} is no moment; write {right}"))
        return default


def _step(text: str | None, span: float, problems: list[Problem]) -> int:
    if text is None:
        return next((step for step in _STEPS if step * _POINTS >= span), _STEPS[-1])
    try:
        found = seconds(text) if not text.isdigit() else float(text[:12])
    except ValueError:
        found = 0.0
    if not WINDOW <= found < 2**31 or found % WINDOW:
        problems.append(Problem("step", f"{text[:60]!r} is no multiple of {WINDOW} s; write 10s, 1m or 1h"))
        return WINDOW
    return int(found)
