"""StatsWindow rows: what became of the requests of one window, at one level."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from collectors.access_log.latency import merged
from collectors.access_log.outcomes import OUTCOMES

WINDOW = 10
"""Seconds."""
LEVEL_FIELDS: dict[str, tuple[str, ...]] = {
    "platform": (),
    "gateway": ("gateway",),
    "tenant": ("tenant",),
    "model": ("tenant", "model"),
    "version": ("tenant", "model", "version", "arm"),
}
"""What each level tells apart. A request without a tenant is in no row of a tenant or model, one without a version in
no row of a version. A version has a row for the requests that the weights brought it, and one for each arm."""
LEVELS = tuple(LEVEL_FIELDS)
SUMMED = (*OUTCOMES, "bytes_in", "bytes_out", "latency_sum")
"""What is added up of rows besides latency buckets, by the names that it has outside."""


class RowPlace(NamedTuple):
    """What a row is about; fields that its level does not tell apart are empty, and so is the arm of requests that the
    weights divide."""

    level: str
    gateway: str = ""
    tenant: str = ""
    model: str = ""
    version: str = ""
    arm: str = ""


class RowKey(NamedTuple):
    """The identity of a row: a row that is written again is the same row, with a higher revision.

    `start` is in epoch seconds. `source` is where the lines came from, a gateway pod or a partition.
    """

    place: RowPlace
    start: int
    source: str


@dataclass(frozen=True, slots=True)
class StatsRow:
    """The requests of one window: counts by outcome (in the order of OUTCOMES), bytes, and latency in buckets of
    microseconds, of the requests that a model answered. `latency_sum` is in microseconds."""

    key: RowKey
    revision: int
    counts: tuple[int, ...]
    bytes_in: int
    bytes_out: int
    latency_sum: int
    latency: dict[int, int]

    @property
    def requests(self) -> int:
        """All requests of the row."""
        return sum(self.counts)

    def count(self, *outcomes: str) -> int:
        """Return how many requests had one of some outcomes."""
        return sum(self.counts[OUTCOMES.index(name)] for name in outcomes)


def total(key: RowKey, rows: Iterable[StatsRow]) -> StatsRow:
    """Return the sum of rows under another key."""
    parts = tuple(rows)
    if len(parts) == 1:
        return replace(parts[0], key=key)
    return StatsRow(
        key=key,
        revision=max((row.revision for row in parts), default=0),
        counts=tuple(map(sum, zip(*(row.counts for row in parts), strict=True))) or (0,) * len(OUTCOMES),
        bytes_in=sum(row.bytes_in for row in parts),
        bytes_out=sum(row.bytes_out for row in parts),
        latency_sum=sum(row.latency_sum for row in parts),
        latency=merged(row.latency for row in parts),
    )


def unique(rows: Iterable[StatsRow]) -> list[StatsRow]:
    """Return each row once: of several with one key, which collectors that have read the same lines made, the one that
    has seen most requests."""
    out: dict[RowKey, StatsRow] = {}
    for row in rows:
        other = out.get(row.key)
        if other is None or (row.requests, row.revision) > (other.requests, other.revision):
            out[row.key] = row
    return list(out.values())
