"""Sources of a release: collectors, which count the requests of its two versions, gateway pods, which count mirrored
ones, and Prometheus for its queries."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from collectors.access_log.rows import WINDOW, StatsRow
from collectors.request_statistics.row_query import RowQuery, fine_since
from collectors.request_statistics.series import FINE, MINUTE
from k8s_manager.autoscaling.readings.query_figures import QueryFigure
from k8s_manager.autoscaling.readings.query_signals import QueryRound
from k8s_manager.release.decision.observation import ExternalReading, StepStatistics, version_statistics
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.release.request_copies import MirroredRequests, MirrorQuestion
from k8s_manager.runtime.clock import Clock
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.statistics.stats_query import SOON
from k8s_manager.statistics.usage.prometheus_server import PrometheusServer
from k8s_manager.statistics.whole_rows import logs_nothing, whole_rows, window_end

LONGEST = 5 * 3600
"""Seconds of a step that count, its last ones: collectors keep six hours in memory."""


@dataclass(frozen=True, slots=True)
class ReleaseQuestion:
    """What a release wants to know of its model: the requests of two versions since a moment (epoch seconds), and the
    figures of queries by the names of their checks. `silent` is a gateway that logs no requests; with `mirror` the new
    version has no requests but mirrored ones."""

    place: ModelPlace
    tenant: str
    stable: str
    version: str
    since: float
    queries: Mapping[str, str] = field(default_factory=dict)
    silent: str | None = None
    mirror: MirrorQuestion | None = None


@dataclass(frozen=True, slots=True)
class ReleaseReadings:
    """What was read; without `statistics` the `flaw` says why."""

    statistics: StepStatistics | None = None
    readings: Mapping[str, ExternalReading] = field(default_factory=dict)
    flaw: str = ""


class ReleaseSource(Protocol):
    """Reads what releases ask; what cannot be read is missing, and never an error."""

    async def read(self, asked: Sequence[ReleaseQuestion]) -> Mapping[ModelPlace, ReleaseReadings]:
        """Return the readings of each model."""


class MeasuredReleases:
    """Asks collectors and Prometheus for all releases at once, and gateway pods for mirrored requests."""

    def __init__(
        self,
        pool: CollectorPool | None,
        prometheus: PrometheusServer | None,
        clock: Clock,
        mirrored: MirroredRequests | None = None,
    ) -> None:
        self._pool, self._prometheus, self._clock, self._mirrored = pool, prometheus, clock, mirrored

    async def read(self, asked: Sequence[ReleaseQuestion]) -> Mapping[ModelPlace, ReleaseReadings]:
        """Return the readings of each model."""
        real = [one for one in asked if one.mirror is None]
        answers, copies, counted = await asyncio.gather(
            self._answers(asked), self._copied(asked), asyncio.gather(*map(self._counted, real))
        )
        found = {**copies, **{one.place: readings for one, readings in zip(real, counted, strict=True)}}
        return {
            one.place: replace(found[one.place], readings=readings)
            for one, readings in zip(asked, answers, strict=True)
        }

    async def _copied(self, asked: Sequence[ReleaseQuestion]) -> dict[ModelPlace, ReleaseReadings]:
        """Return what gateway pods have counted of requests that are mirrored."""
        questions = [one.mirror for one in asked if one.mirror is not None]
        if self._mirrored is None:
            flaw = "nothing reads what gateway pods count"
            return {one.place: ReleaseReadings(flaw=flaw) for one in questions}
        found = await self._mirrored.read(questions) if questions else {}
        return {
            place: ReleaseReadings(flaw=said) if isinstance(said, str) else ReleaseReadings(said)
            for place, said in found.items()
        }

    async def _answers(self, asked: Sequence[ReleaseQuestion]) -> list[dict[str, ExternalReading]]:
        """Return what each model's own queries come to, by the names of its checks."""
        queries = {(one.place.namespace, query) for one in asked for query in one.queries.values()}
        found = await QueryRound(self._prometheus, self._clock).answers(queries)
        now = self._clock.utc().timestamp()
        return [
            {name: _reading(found[one.place.namespace, query], now) for name, query in one.queries.items()}
            for one in asked
        ]

    async def _counted(self, asked: ReleaseQuestion) -> ReleaseReadings:
        """Return what collectors have counted for a model."""
        if self._pool is not None and asked.silent is not None:
            return ReleaseReadings(flaw=logs_nothing(asked.silent))
        now = self._clock.utc().timestamp()
        query = step_query(asked, now)
        rows = await whole_rows(self._pool, query, now)
        if isinstance(rows, str):
            return ReleaseReadings(flaw=rows)
        return ReleaseReadings(step_statistics(asked, query, rows))


def _reading(answer: QueryFigure | str, now: float) -> ExternalReading:
    if isinstance(answer, str):
        return ExternalReading(now, "pending", sentence=answer)
    return ExternalReading(answer.at, "value", answer.value)


def step_query(asked: ReleaseQuestion, now: float) -> RowQuery:
    """Return the question for the whole windows since the step began, as far as most of their requests have been
    counted; the rest comes with a later look, as the whole step is asked for each time."""
    end = window_end(now - SOON)
    start = max(asked.since, now - LONGEST)
    grain = MINUTE if now - start > FINE - MINUTE else WINDOW
    first = -(-int(start) // grain) * grain
    return RowQuery(
        "version", min(first, end), end, grain, fine_since(now), tenant=asked.tenant, model=asked.place.name
    )


def step_statistics(asked: ReleaseQuestion, query: RowQuery, rows: Iterable[StatsRow]) -> StepStatistics:
    """Return the requests of both versions in the time that was asked for."""
    by_version: dict[str, list[StatsRow]] = {asked.stable: [], asked.version: []}
    for row in rows:
        if row.key.start >= query.start and row.key.place.version in by_version:
            by_version[row.key.place.version].append(row)
    stable, new = version_statistics(by_version[asked.stable]), version_statistics(by_version[asked.version])
    return StepStatistics(query.start, query.end, stable, new)
