"""What pages make of the API's answers about requests: sums, and series for charts. Pure."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from collectors.request_statistics.row_query import fine_since
from collectors.request_statistics.series import MINUTE

K = TypeVar("K", bound=Hashable)
_RATES, _QUANTILES = ("demand", "admitted", "limited"), ("p50", "p95", "p99")

SPANS = {"15m": (900, 10), "1h": (3600, 60), "6h": (21_600, 60), "7d": (604_800, 3_600)}
"""What a chart may show: its length, and the step of its newest part, in seconds."""


@dataclass(frozen=True, slots=True)
class RequestSum:
    """Requests of a span, and how long it was in seconds."""

    seconds: float
    demand: int = 0
    admitted: int = 0
    limited: int = 0
    errors: int = 0
    p99: float | None = None
    p50: float | None = None
    p95: float | None = None

    @property
    def rate(self) -> float:
        """Requests per second that were offered."""
        return self.demand / self.seconds


def sum_of(items: Iterable[Mapping[str, Any]], seconds: float) -> RequestSum:
    """Return the sum of counts; each of its quantiles is the largest of them, since quantiles do not add up."""
    rows = list(items)
    return RequestSum(
        seconds,
        sum(row["demand"] for row in rows),
        sum(row["admitted"] for row in rows),
        sum(row["limited"] for row in rows),
        sum(row["serverErrors"] for row in rows),
        *(_largest(rows, name) for name in ("p99", "p50", "p95")),
    )


def _largest(rows: Iterable[Mapping[str, Any]], name: str) -> float | None:
    return max((row["latency"][name] for row in rows if row["latency"].get(name) is not None), default=None)


def sums_by_model(items: Iterable[Mapping[str, Any]], seconds: float) -> dict[tuple[str, str], RequestSum]:
    """Return the sums of each tenant's models."""
    return _sums(items, lambda row: (row["tenant"], row["model"]), seconds)


def sums_by_version(items: Iterable[Mapping[str, Any]], seconds: float) -> dict[str, RequestSum]:
    """Return the sums of a model's versions."""
    return _sums(items, lambda row: str(row["version"]), seconds)


def sums_by_arm(items: Iterable[Mapping[str, Any]], seconds: float) -> dict[str, RequestSum]:
    """Return the sums of the arms of a model's matches, and of its weights."""
    return _sums(items, lambda row: str(row["arm"]), seconds)


def _sums(
    items: Iterable[Mapping[str, Any]], name: Callable[[Mapping[str, Any]], K], seconds: float
) -> dict[K, RequestSum]:
    rows: dict[K, list[Mapping[str, Any]]] = {}
    for row in items:
        rows.setdefault(name(row), []).append(row)
    return {place: sum_of(found, seconds) for place, found in rows.items()}


@dataclass(frozen=True, slots=True)
class CountedSpan:
    """Counts of a span from `start` on and before `end` (epoch seconds), in steps of seconds."""

    start: int
    end: int
    step: int
    items: Sequence[Mapping[str, Any]]


def by_start(items: Iterable[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Return counts by when their step begins (epoch seconds)."""
    return {int(datetime.fromisoformat(row["start"]).timestamp()): row for row in items}


def chart_spans(now: float, name: str) -> list[tuple[int, int, int]]:
    """Return the spans of a chart, each with its step. Of the last quarter of an hour the oldest part has minutes: that
    is what collectors keep of it for certain."""
    length, step = SPANS.get(name, SPANS["15m"])
    end = int(now) // step * step + step
    start = end - length
    fine = -(-max(start, fine_since(now)) // MINUTE) * MINUTE
    if step >= MINUTE or fine <= start:
        return [(start // step * step, end, step)]
    return [(start // MINUTE * MINUTE, fine, MINUTE), (fine, end, step)]


StepLine = list[tuple[float, float]]
"""Moments (epoch seconds), in order, and the value that holds from each on."""


def series(spans: Sequence[CountedSpan], lines: Mapping[str, StepLine]) -> dict[str, list[Any]]:
    """Return the columns of a chart: times (epoch seconds), requests per second, latency, and lines by their names. A
    step without requests has a zero and no latency."""
    found: dict[str, list[Any]] = {name: [] for name in ("time", *_RATES, *lines, *_QUANTILES)}
    for span in spans:
        rows = by_start(span.items)
        for time in range(span.start, span.end, span.step):
            row = rows.get(time)
            found["time"].append(time)
            for name, line in lines.items():
                found[name].append(next((value for since, value in reversed(line) if since <= time + span.step), None))
            for name in _RATES:
                found[name].append(round(row[name] / span.step, 3) if row else 0)
            for name in _QUANTILES:
                found[name].append(row["latency"][name] if row else None)
    return found


def step_line(events: Iterable[Mapping[str, Any]], kind: str, detail: str, now: float | None) -> StepLine:
    """Return from when on which value holds, by a detail of the events of a kind that are remembered; without any, the
    one that holds now."""
    changes = [
        (datetime.fromisoformat(event["time"]).timestamp(), float(event["details"][detail]))
        for event in events
        if event["type"] == kind and event["details"].get(detail) is not None
    ]
    if changes or now is None:
        return changes
    return [(0.0, now)]
