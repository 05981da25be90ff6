"""How windows, freezes and lengths of time are written in sentences."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from istio_templates.text.time_zone import zone_of
from k8s_manager.release.windows.time_range import TimeRange
from k8s_manager.release.windows.window_rules import Freeze

_NAMED = 3
"""So many freezes are named in a sentence."""


def moment_text(moment: datetime, zone: str) -> str:
    """Return a moment by the clocks of a zone: `Sun 2026-03-01 03:10`."""
    return f"{moment.astimezone(zone_of(zone)):%a %Y-%m-%d %H:%M}"


def span_text(span: TimeRange, zone: str) -> str:
    """Return a span: `Sun 2026-03-01 03:10 to 05:10 (Europe/Berlin)`."""
    begins, ends = moment_text(span.begins, zone), moment_text(span.ends, zone)
    return f"{begins} to {ends[15:] if begins[:14] == ends[:14] else ends} ({zone})"


def length_text(length: timedelta) -> str:
    """Return a length of time as documents have it: `2h30m`."""
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def freezes_text(freezes: Iterable[Freeze], within: TimeRange, zone: str) -> str:
    """Return the names and the first spans of the freezes that overlap a time."""
    found = [(freeze.name, spans) for freeze in freezes if (spans := freeze.spans(*within))]
    named = [f"{name}, {span_text(spans[0], zone)}{_more(spans)}" for name, spans in found[:_NAMED]]
    return "; ".join([*named, *([f"{len(found) - _NAMED} more"] if len(found) > _NAMED else [])])


def _more(spans: Sequence[TimeRange]) -> str:
    return f" and {len(spans) - 1} times more" if len(spans) > 1 else ""
