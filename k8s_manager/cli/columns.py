"""Cells of tables, and which columns a narrow terminal shows. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

GAP = 2
"""Spaces between two columns."""
LEAST = 3
"""Letters of a column that is cut."""


def age(created: str | None, now: datetime) -> str:
    """Return how long ago something was created, as kubectl writes it: 45s, 3m20s, 5h, 2d4h."""
    try:
        passed = now - datetime.fromisoformat(created or "")
    except (ValueError, TypeError):
        return "-"
    return duration(passed)


def duration(passed: timedelta) -> str:
    """Return a time span as kubectl writes it."""
    seconds = max(0, int(passed.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    steps = (
        (seconds < 120, f"{seconds}s"),
        (minutes < 10, _two(minutes, "m", seconds % 60, "s")),
        (hours < 3, f"{minutes}m"),
        (hours < 8, _two(hours, "h", minutes % 60, "m")),
        (hours < 48, f"{hours}h"),
        (days < 8, _two(days, "d", hours % 24, "h")),
        (days < 730, f"{days}d"),
    )
    return next((text for is_so, text in steps if is_so), _two(days // 365, "y", days % 365, "d"))


def _two(large: int, unit: str, small: int, below: str) -> str:
    return f"{large}{unit}{small}{below}" if small else f"{large}{unit}"


def refused(limit: Mapping[str, Any], counts: Mapping[str, Any] | None) -> str:
    """Return how many requests a limit refuses, or would refuse in shadow: as gateway pods count it for modes, or else
    as collectors counted a minute; `-` where there is no count."""
    observed = limit.get("observed") or {}
    if observed.get("requests"):
        return f"{100 * observed.get('refused', 0) / observed['requests']:.3g} % in {observed.get('over', '?')}"
    if counts and counts.get("demand"):
        return f"{100 * counts['limited'] / counts['demand']:.3g} % in 1m"
    return "-"


def up_to_date(rollout: Mapping[str, Any] | None) -> str:
    """Return the replicas of each version that have the newest pod template; `-` where the manager runs none."""
    run = [v for v in (rollout or {}).get("versions", ()) if v.get("updated") is not None]
    if len(run) == 1:
        return str(run[0]["updated"])
    return ", ".join(f"{v['name']} {v['updated']}" for v in run) or "-"


def fitting(widths: Mapping[str, int], optional: Sequence[str], width: int) -> list[str]:
    """Return the columns that are shown in `width`: `optional` ones are dropped, the first first, as far as needed."""
    shown = dict(widths)
    for name in optional:
        if sum(shown.values()) + GAP * (len(shown) - 1) <= width:
            break
        shown.pop(name, None)
    return list(shown)


def narrowed(widths: Mapping[str, int], whole: Sequence[str], width: int) -> dict[str, int]:
    """Return column widths that fit `width`, the widest cut first; those of `whole` columns stay as they are."""
    out = dict(widths)
    while sum(out.values()) + GAP * (len(out) - 1) > width:
        name = max((name for name in out if name not in whole), key=out.__getitem__, default=None)
        if name is None or out[name] <= LEAST:
            break
        out[name] -= 1
    return out


def cut(text: str, width: int) -> str:
    """Return a text, or as much of it as fits."""
    return text if len(text) <= width else f"{text[: width - 1]}…"
