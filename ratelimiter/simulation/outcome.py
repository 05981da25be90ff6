"""Outcome of a simulation: figures for people and programs, and a series for the picture."""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from statistics import median
from typing import Any

from istio_templates.facts import Bucket
from ratelimiter.simulation.trace import NANOS

MOST_BINS = 600


@dataclass(slots=True)
class SimulatedChange:
    """The limit should become `total`, since `at` (ns); it was `enforced` then, or was overtaken by another change."""

    at: int
    total: Fraction
    enforced: int | None = None
    overtaken: bool = False


class Series:
    """Offered, admitted, limit and capacity over time, in at most `MOST_BINS` bins of whole seconds."""

    def __init__(self, starts: Fraction, ends: Fraction) -> None:
        self._starts = int(starts * NANOS)
        self.width = max(1, ceil((ends - starts) / MOST_BINS))
        bins = max(1, ceil((ends - starts) / self.width))
        self.offered, self.admitted = [0] * bins, [0] * bins
        self._limits: list[tuple[int, Fraction]] = []
        self._capacities: list[tuple[int, Fraction]] = []
        self._warm: list[tuple[int, Fraction]] = []
        self._asked: list[tuple[int, Fraction]] = []

    def count(self, at: int, admitted: bool) -> None:
        """Count a request."""
        place = min((at - self._starts) // (self.width * NANOS), len(self.offered) - 1)
        self.offered[place] += 1
        self.admitted[place] += admitted

    def limit_is(self, at: int, value: Fraction) -> None:
        """Note the limit that is enforced from now on."""
        self._limits.append((at, value))

    def capacity_is(self, at: int, value: Fraction) -> None:
        """Note what the replicas can serve from now on."""
        self._capacities.append((at, value))

    def replicas_are(self, at: int, warm: int, asked: int) -> None:
        """Note how many replicas are warm, and how many are asked for, from now on."""
        self._warm.append((at, Fraction(warm)))
        self._asked.append((at, Fraction(asked)))

    def warm(self) -> dict[str, int]:
        """Return the least and the most of warm replicas, and how many there were at the end."""
        counts = [int(count) for _, count in self._warm]
        return {"least": min(counts), "most": max(counts), "atEnd": counts[-1]}

    def rows(self) -> list[dict[str, float]]:
        """Return one row for each bin: its time from the beginning, requests per second, and replicas."""
        limits, capacities = self._sampled(self._limits), self._sampled(self._capacities)
        warm, asked = self._sampled(self._warm), self._sampled(self._asked)
        return [
            {
                "time": number * self.width,
                "offered": offered / self.width,
                "admitted": admitted / self.width,
                "limit": limits[number],
                "capacity": capacities[number],
                "replicas": warm[number],
                "asked": asked[number],
            }
            for number, (offered, admitted) in enumerate(zip(self.offered, self.admitted, strict=True))
        ]

    def _sampled(self, moments: list[tuple[int, Fraction]]) -> list[float]:
        """Return the value at the end of every bin."""
        out, place, value = [], 0, Fraction(0)
        for number in range(len(self.offered)):
            until = self._starts + (number + 1) * self.width * NANOS
            while place < len(moments) and moments[place][0] < until:
                value = moments[place][1]
                place += 1
            out.append(float(value))
        return out


@dataclass(slots=True)
class SimulationOutcome:
    """What happened. `ideal` is what buckets that no rewrite fills up would have admitted."""

    series: Series
    enforced_total: Fraction
    offered: int = 0
    admitted: int = 0
    closed: int = 0
    ideal: int = 0
    writes: int = 0
    rewrites: int = 0
    allowance: Fraction = Fraction(0)
    changes: list[SimulatedChange] = field(default_factory=list)

    def answered(self, at: int, admitted: bool, ideal: bool, closed: bool) -> None:
        """Count a request: whether its bucket had a token, and whether the model was closed."""
        self.offered += 1
        self.closed += closed
        self.admitted += admitted and not closed
        self.ideal += ideal and not closed
        self.series.count(at, admitted and not closed)

    def refilled(self, bucket: Bucket, pods: int, burst: Fraction) -> None:
        """Count a rewrite of the slot, and what it may admit beyond the limit, as the status reports it."""
        self.rewrites += 1
        self.allowance += pods * max(burst * bucket.rate, Fraction(2))

    def wanted(self, at: int, total: Fraction) -> None:
        """Note that the limit should be another; one that goes back before it was written never was a change."""
        if self.changes and self.changes[-1].enforced is None:
            self.changes[-1].overtaken = True
        if total != self.enforced_total:
            self.changes.append(SimulatedChange(at, total))

    def enforced(self, at: int, total: Fraction) -> None:
        """Note what all gateway pods together enforce from now on."""
        self.enforced_total = total
        self.series.limit_is(at, total)
        last = self.changes[-1] if self.changes else None
        if last is not None and last.enforced is None and last.total == total:
            last.enforced = at

    def figures(self) -> dict[str, Any]:
        """Return the figures as the command line and the API tell them; times in seconds."""
        took = [(change.enforced - change.at) / NANOS for change in self.changes if change.enforced is not None]
        over = self.admitted - self.ideal
        return {
            "offered": self.offered,
            "admitted": self.admitted,
            "refused": self.offered - self.admitted,
            "closed": self.closed,
            "overAdmission": {
                "byRefills": over,
                "percent": round(100 * over / self.ideal, 3) if self.ideal else 0.0,
                "atMost": ceil(self.allowance),
            },
            "rewrites": self.rewrites,
            "writes": self.writes,
            "changes": {
                "wanted": len(self.changes),
                "enforced": len(took),
                "overtaken": sum(change.overtaken for change in self.changes),
            },
            "timeToConverge": {
                "median": round(median(took), 3) if took else None,
                "longest": round(max(took), 3) if took else None,
            },
            "limitAtEnd": float(self.enforced_total),
            "replicas": self.series.warm(),
        }
