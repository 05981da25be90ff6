"""Requests of which none fails, as what releases read, by any clock."""

from collections.abc import Mapping, Sequence

from k8s_manager.release.decision.observation import StepStatistics, VersionStatistics
from k8s_manager.release.release_source import ReleaseQuestion, ReleaseReadings
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.runtime.clock import Clock

GOOD = VersionStatistics(10_000, {"5xx": 0, "4xx": 0, "noAnswer": 0}, {250: 10_000})


class SteadyOutcomes:
    """As many good requests for both versions since each step began, counted to the moment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def read(self, asked: Sequence[ReleaseQuestion]) -> Mapping[ModelPlace, ReleaseReadings]:
        """Return the same of every model."""
        now = self._clock.utc().timestamp()
        return {one.place: ReleaseReadings(StepStatistics(one.since, now, GOOD, GOOD)) for one in asked}
