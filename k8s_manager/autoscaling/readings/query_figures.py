"""The one number in the answer to a query, or why there is none. Pure."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from k8s_manager.statistics.usage.metric_series import InstantSample
from ratelimiter.autoscale.decision import FRESH

AHEAD = 30.0
"""Seconds by which a clock may be ahead."""


class QueryFigure(NamedTuple):
    """A number, and its moment in epoch seconds."""

    value: float
    at: float


def figure_in(samples: Sequence[InstantSample], now: float) -> QueryFigure | str:
    """Return the number that a query gives at `now` (epoch seconds), or in a sentence why it gives none."""
    if not samples:
        return "the query gives no series now; look at it, and at what exports the metric"
    if len(samples) > 1:
        return f"the query gives {len(samples)} series; write one that gives one, such as sum(...)"
    (sample,) = samples
    if sample.at is None or not -AHEAD <= now - sample.at <= FRESH:
        return f"the query is answered {_of(sample.at)}; look at the clock of Prometheus, and at what stands before it"
    value = _number(sample.value)
    if not math.isfinite(value) or value < 0:
        return f"the query gives {sample.value[:40]}; write one that always gives a number from 0 on"
    return QueryFigure(value, min(sample.at, now))


def _of(moment: float | None) -> str:
    """Return of when an answer is, as a person reads it."""
    if moment is None:
        return "without a moment"
    try:
        return f"as of {datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"as of second {moment:.0f}"


def _number(text: str) -> float:
    try:
        return float(text[:40])
    except ValueError:
        return math.nan
