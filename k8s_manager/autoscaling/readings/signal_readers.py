"""All signals of all versions, each from the source that has it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeVar

from k8s_manager.autoscaling.readings.query_signals import QuerySignals
from k8s_manager.autoscaling.readings.request_signals import RequestSignals
from k8s_manager.autoscaling.readings.usage_signals import PodsOf, UsageSignals
from k8s_manager.autoscaling.scale_target import ScaleTarget, VersionKey
from k8s_manager.autoscaling.signal_source import SignalReadings, SignalSource
from k8s_manager.runtime.clock import Clock
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.statistics.usage.prometheus_server import PrometheusServer
from k8s_manager.statistics.usage.usage_reader import UsageReader

Found = TypeVar("Found")


class SignalReaders:
    """Asks collectors, what measures pods, and Prometheus at once; without one of them its signals are missing."""

    def __init__(
        self,
        collectors: CollectorPool | None,
        usage: UsageReader,
        pods: PodsOf,
        prometheus: PrometheusServer | None,
        clock: Clock,
    ) -> None:
        self._sources: tuple[SignalSource, ...] = (
            RequestSignals(collectors, clock),
            UsageSignals(usage, pods, clock),
            QuerySignals(prometheus, clock),
        )

    async def read(self, versions: Sequence[ScaleTarget]) -> SignalReadings:
        """Return every signal that these versions ask for: a reading, or why it is missing."""
        found = await asyncio.gather(*(source.read(versions) for source in self._sources))
        return SignalReadings(_merged([one.values for one in found]), _merged([one.missing for one in found]))


def _merged(parts: Sequence[Mapping[VersionKey, Mapping[str, Found]]]) -> dict[VersionKey, dict[str, Found]]:
    out: dict[VersionKey, dict[str, Found]] = {}
    for part in parts:
        for key, found in part.items():
            out.setdefault(key, {}).update(found)
    return out
