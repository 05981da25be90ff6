"""The statistics of requests, as the API and controllers ask for them."""

from collections.abc import Callable
from dataclasses import dataclass

from istio_templates.errors import NotFound
from istio_templates.facts import Manifest
from k8s_manager.runtime.clock import Clock
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.statistics.stats_answer import By, items_of, rows_of_arms
from k8s_manager.statistics.stats_query import AskedSpan, time_span

COARSE_STEP = "rows older than six hours are kept in five minutes: the step is longer than was asked for"


@dataclass(frozen=True, slots=True)
class StatsScope:
    """What statistics are about: everything, or one gateway, tenant or model, or an arm of a model."""

    gateway: str = ""
    tenant: str = ""
    model: str = ""
    arm: str | None = None

    def tells_arms(self, by: By | None) -> bool:
        """Whether rows have to tell arms apart."""
        return by == "arm" or self.arm is not None

    def level(self, by: By | None) -> str:
        """Return the level of the rows that tell it apart by something."""
        if self.tells_arms(by):
            return "version"
        if by is not None and by != "outcome":
            return by
        return next((level for level in ("model", "gateway", "tenant") if getattr(self, level)), "platform")


class RequestStats:
    """Reads statistics from collectors; without any, every question is refused."""

    def __init__(self, pool: CollectorPool | None, clock: Clock) -> None:
        self._pool, self._clock = pool, clock

    async def answer(
        self,
        scope: StatsScope,
        asked: AskedSpan,
        by: By | None,
        may_see: Callable[[str], bool] = lambda _: True,
    ) -> Manifest:
        """Return the counts of a span in steps, of tenants that may be seen; raises `Invalid` for what cannot be asked,
        `Waiting` while no collector answers, and `NotFound` where there is none."""
        now = self._clock.utc().timestamp()
        span = time_span(asked, now)
        if self._pool is None:
            raise NotFound("there are no statistics here: start collectors, and this manager with --collectors URL")
        arms = scope.tells_arms(by)
        query = span.query(scope.level(by), now, scope.gateway, scope.tenant, scope.model, arms)
        found = await self._pool.rows(query, span.kept)
        rows = [row for row in found.rows if may_see(row.key.place.tenant)]
        if arms:
            rows = rows_of_arms(rows, scope.arm, by, span.step)
        gaps = [*found.gaps, *([COARSE_STEP] if span.is_raised else [])]
        return {"step": f"{span.step}s", "items": items_of(rows, by), "partial": bool(found.gaps), "gaps": gaps}
