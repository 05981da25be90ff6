"""Sources of a release: collectors and gateway pods, which count the requests of its two versions, and Prometheus for
its queries. Each has its own time to answer: what one says counts, however late the others are."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Protocol, TypeVar

from collectors.access_log.rows import WINDOW, StatsRow
from collectors.request_statistics.row_query import RowQuery, fine_since
from collectors.request_statistics.series import FINE, MINUTE
from k8s_manager.autoscaling.readings.query_figures import QueryFigure
from k8s_manager.autoscaling.readings.query_signals import QueryRound
from k8s_manager.release.decision.observation import ExternalReading, StepStatistics, version_statistics
from k8s_manager.release.gateway_counts import CountQuestion, GatewayCounts
from k8s_manager.release.load_reader import LoadReader
from k8s_manager.release.quiet_hours import ModelLoad
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.runtime.clock import Clock
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.statistics.stats_query import SOON
from k8s_manager.statistics.usage.prometheus_server import PrometheusServer
from k8s_manager.statistics.whole_rows import CountedRows, rows_since_gap, window_end

LONGEST = 5 * 3600
"""Seconds of a step that count, its last ones: collectors keep six hours in memory."""
PATIENCE = 3.5
"""Seconds in which each source answers, or is missing at this look."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReleaseQuestion:
    """What a release wants to know of its model: the requests of two versions since a moment (epoch seconds), and the
    figures of queries by the names of their checks. `silent` is a gateway that logs no requests; with `by_load` quiet
    hours are chosen by the model's load. Gateway pods are asked what is `counted`; where the step `mirrors`, the new
    version has no other requests."""

    place: ModelPlace
    tenant: str
    stable: str
    version: str
    since: float
    queries: Mapping[str, str] = field(default_factory=dict)
    silent: str | None = None
    by_load: bool = False
    counted: CountQuestion | None = None
    mirrors: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseReadings:
    """What was read; without `statistics` the `flaw` says why. `counts` are what gateway pods count of the same step,
    `load` is what quiet hours are chosen by."""

    statistics: StepStatistics | None = None
    counts: StepStatistics | None = None
    readings: Mapping[str, ExternalReading] = field(default_factory=dict)
    flaw: str = ""
    load: ModelLoad = field(default_factory=ModelLoad)


class ReleaseSource(Protocol):
    """Reads what releases ask; what cannot be read is missing, and never an error."""

    async def read(self, asked: Sequence[ReleaseQuestion]) -> Mapping[ModelPlace, ReleaseReadings]:
        """Return the readings of each model."""


class MeasuredReleases:
    """Asks collectors, gateway pods and Prometheus for all releases at once."""

    def __init__(
        self,
        pool: CollectorPool | None,
        prometheus: PrometheusServer | None,
        clock: Clock,
        counts: GatewayCounts | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._pool, self._prometheus, self._clock, self._counts = pool, prometheus, clock, counts
        self._loads, self._patience = LoadReader(pool, clock), patience

    async def read(self, asked: Sequence[ReleaseQuestion]) -> Mapping[ModelPlace, ReleaseReadings]:
        """Return the readings of each model."""
        answers, counted, loads = await asyncio.gather(
            self._answers(asked), self._statistics(asked), asyncio.gather(*map(self._load, asked))
        )
        return {
            one.place: replace(counted[one.place], readings=readings, load=load)
            for one, readings, load in zip(asked, answers, loads, strict=True)
        }

    async def _statistics(self, asked: Sequence[ReleaseQuestion]) -> dict[ModelPlace, ReleaseReadings]:
        """Return what was counted of each model: by collectors, or by gateway pods where requests are mirrored."""
        logged = [one for one in asked if not one.mirrors]
        counts, rows = await asyncio.gather(self._at_gateways(asked), asyncio.gather(*map(self._counted, logged)))
        by_rows = dict(zip([one.place for one in logged], rows, strict=True))
        return {one.place: _readings(counts[one.place], by_rows.get(one.place)) for one in asked}

    async def _at_gateways(self, asked: Sequence[ReleaseQuestion]) -> Mapping[ModelPlace, StepStatistics | str]:
        """Return what gateway pods count for each model, or why that is not known."""
        found: dict[ModelPlace, StepStatistics | str] = {
            one.place: "nothing reads what gateway pods count" for one in asked
        }
        questions = [one.counted for one in asked if one.counted is not None]
        if self._counts is None or not questions:
            return found
        late = {one.place: self._late("the gateway pods") for one in questions}
        return {**found, **await self._within(self._counts.read(questions), late)}

    async def _load(self, asked: ReleaseQuestion) -> ModelLoad:
        if not asked.by_load:
            return ModelLoad()
        late = ModelLoad(flaw=self._late("the collectors"))
        return await self._within(self._loads.load(asked.tenant, asked.place.name), late)

    async def _within(self, answer: Awaitable[T], late: T) -> T:
        """Return an answer, or `late` where it takes too long."""
        try:
            async with asyncio.timeout(self._patience):
                return await answer
        except TimeoutError:
            return late

    def _late(self, source: str) -> str:
        return f"no answer within {self._patience:g} s; look at {source}"

    async def _answers(self, asked: Sequence[ReleaseQuestion]) -> list[dict[str, ExternalReading]]:
        """Return what each model's own queries come to, by the names of its checks."""
        queries = {(one.place.namespace, query) for one in asked for query in one.queries.values()}
        late: dict[tuple[str, str], QueryFigure | str] = dict.fromkeys(queries, self._late("Prometheus"))
        found = await self._within(QueryRound(self._prometheus, self._clock).answers(queries), late)
        now = self._clock.utc().timestamp()
        return [
            {name: _reading(found[one.place.namespace, query], now) for name, query in one.queries.items()}
            for one in asked
        ]

    async def _counted(self, asked: ReleaseQuestion) -> ReleaseReadings:
        """Return what collectors have counted for a model."""
        now = self._clock.utc().timestamp()
        query = step_query(asked, now)
        answer = rows_since_gap(self._pool, query, now, asked.silent)
        counted = await self._within(answer, self._late("the collectors"))
        if isinstance(counted, str):
            return ReleaseReadings(flaw=counted)
        return ReleaseReadings(step_statistics(asked, counted, query.end))


def _readings(counts: StepStatistics | str, rows: ReleaseReadings | None) -> ReleaseReadings:
    """Return what is known by rows, or without any by the counts of gateway pods."""
    if rows is not None:
        return rows if isinstance(counts, str) else replace(rows, counts=counts)
    return ReleaseReadings(flaw=counts) if isinstance(counts, str) else ReleaseReadings(counts)


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
    first = ceil(start / grain) * grain
    return RowQuery(
        "version", min(first, end), end, grain, fine_since(now), tenant=asked.tenant, model=asked.place.name
    )


def step_statistics(asked: ReleaseQuestion, counted: CountedRows, until: int) -> StepStatistics:
    """Return the requests of both versions in the time that has been counted, which ends at `until` (epoch seconds)."""
    by_version: dict[str, list[StatsRow]] = {asked.stable: [], asked.version: []}
    for row in counted.rows:
        if row.key.place.version in by_version:
            by_version[row.key.place.version].append(row)
    stable, new = version_statistics(by_version[asked.stable]), version_statistics(by_version[asked.version])
    return StepStatistics(counted.since, until, stable, new)
