"""The loop of live figures: asks collectors and Prometheus every minute for what limits of selections are about.

Requests are read again each time, as far back as a limit looks, so that another manager sees the same at once. What a
query gave is remembered here alone: after a restart the time beyond such a limit begins again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from collectors.request_statistics.row_query import RowQuery, fine_since
from collectors.request_statistics.series import MINUTE
from k8s_manager.autoscaling.readings.query_figures import QueryFigure
from k8s_manager.autoscaling.readings.query_signals import QueryRound
from k8s_manager.pipeline.plan import Plan
from k8s_manager.release.live.live_question import LiveQuestion, live_questions
from k8s_manager.release.live.model_figures import NO_FIGURES, ModelFigures, version_samples
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.release.selection.selection_rules import Measure
from k8s_manager.release.selection.version_facts import LiveSample
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import poll
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.statistics.stats_query import SETTLED
from k8s_manager.statistics.usage.prometheus_server import PrometheusServer
from k8s_manager.statistics.whole_rows import rows_since_gap
from k8s_manager.world.world import World

EVERY = 60.0
"""Seconds between two looks."""
AT_ONCE = 4
"""Models whose requests are read at a time: hours of minutes are long answers."""


class LiveFigures:
    """Live figures of the models whose selections ask for some, as they were last read."""

    def __init__(self, pool: CollectorPool | None, prometheus: PrometheusServer | None, clock: Clock) -> None:
        self._pool, self._prometheus, self._clock = pool, prometheus, clock
        self._asked: Mapping[ModelPlace, LiveQuestion] = {}
        self._found: Mapping[ModelPlace, ModelFigures] = {}
        self._drifts: dict[tuple[ModelPlace, str], tuple[LiveSample, ...]] = {}
        self._effects = Effects(clock, asyncio.Event())
        self._turn = asyncio.Semaphore(AT_ONCE)

    def follow(self, world: World, plan: Plan) -> None:
        """Take over what selections ask for; something new is read now."""
        before, self._asked = self._asked, live_questions(world, plan)
        if before != self._asked:
            self._effects.wake.set()

    def of(self, namespace: str, name: str) -> ModelFigures:
        """Return the live figures of a model as far as they are known."""
        return self._found.get(ModelPlace(namespace, name), NO_FIGURES)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        await poll("live figures", self.once, EVERY, self._clock, self._effects)

    async def once(self) -> None:
        """Look once."""
        asked = tuple(self._asked.values())
        counted, drifts = await asyncio.gather(
            asyncio.gather(*(self._counted(one) for one in asked)), self._drifting(asked)
        )
        self._found = {
            one.place: ModelFigures(found.samples, drift.drift, {**found.flaws, **drift.flaws})
            for one, found, drift in zip(asked, counted, drifts, strict=True)
        }

    async def _counted(self, asked: LiveQuestion) -> ModelFigures:
        """Return what collectors know of a model's requests."""
        if not asked.least:
            return NO_FIGURES
        now = self._clock.utc().timestamp()
        end = int(now - SETTLED) // MINUTE * MINUTE
        start = (end - asked.lookback) // MINUTE * MINUTE
        query = RowQuery("version", start, end, MINUTE, fine_since(now), tenant=asked.tenant, model=asked.place.name)
        async with self._turn:
            rows = await rows_since_gap(self._pool, query, now, asked.silent)
        if isinstance(rows, str):
            return _without(asked, rows)
        return ModelFigures(version_samples(rows.rows, rows.since, end, asked.least))

    async def _drifting(self, asked: Sequence[LiveQuestion]) -> list[ModelFigures]:
        """Return what queries for drift give, and have given."""
        queries = {(one.place.namespace, one.drift) for one in asked if one.drift is not None}
        answers = await QueryRound(self._prometheus, self._clock).answers(queries)
        before, self._drifts = self._drifts, {}
        found = []
        for one in asked:
            if one.drift is None:
                found.append(NO_FIGURES)
                continue
            answer, key = answers[one.place.namespace, one.drift], (one.place, one.drift)
            self._drifts[key] = self._kept(before.get(key, ()), answer, one.lookback)
            flaws = {Measure.DRIFT.value: answer} if isinstance(answer, str) else {}
            found.append(ModelFigures(drift=self._drifts[key], flaws=flaws))
        return found

    def _kept(self, before: tuple[LiveSample, ...], answer: QueryFigure | str, lookback: int) -> tuple[LiveSample, ...]:
        oldest = self._clock.utc() - timedelta(seconds=lookback)
        new = () if isinstance(answer, str) else (LiveSample(datetime.fromtimestamp(answer.at, UTC), answer.value),)
        return tuple(sample for sample in (*before, *new) if sample.at >= oldest)


def _without(asked: LiveQuestion, flaw: str) -> ModelFigures:
    return ModelFigures(flaws=dict.fromkeys(asked.least, flaw))
