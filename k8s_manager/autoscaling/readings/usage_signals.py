"""CPU, memory and GPUs of a version's warm pods, from what measures pods: the metrics API or Prometheus.

A source measures now and then, and says a pod's figure until it measures again: it is of the moment of asking, where it
is young enough.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from istio_templates.documents.autoscale_signal import SignalKind
from istio_templates.facts import Manifest
from k8s_manager.autoscaling.readings.signal_sheet import SignalSheet, signals_of
from k8s_manager.autoscaling.readings.usage_figures import WarmPods, mean_share
from k8s_manager.autoscaling.scale_target import ScaleTarget
from k8s_manager.autoscaling.signal_source import SignalReadings
from k8s_manager.runtime.clock import Clock
from k8s_manager.statistics.usage.usage_reader import UsageReader

KINDS: tuple[SignalKind, ...] = ("cpu", "memory", "gpu", "gpuMemory")
PodsOf = Callable[[str], Iterable[Manifest]]
"""Returns the pods of a namespace, as Kubernetes shows them."""


class UsageSignals:
    """Reads usage once for each namespace."""

    def __init__(self, usage: UsageReader, pods: PodsOf, clock: Clock) -> None:
        self._usage, self._pods, self._clock = usage, pods, clock

    async def read(self, versions: Sequence[ScaleTarget]) -> SignalReadings:
        """Return the signals that come from what pods use."""
        asked = list(signals_of(versions, KINDS))
        names = sorted({version.key.namespace for version, _ in asked})
        readings = dict(zip(names, await asyncio.gather(*map(self._usage.reading, names)), strict=True))
        warm = {name: WarmPods(self._pods(name)) for name in names}
        sheet, now = SignalSheet(self._clock), self._clock.utc().timestamp()
        for version, signal in asked:
            namespace = version.key.namespace
            pods = warm[namespace].of(version.labels)
            sheet.put(version, signal, mean_share(signal.kind, pods, readings[namespace], self._usage.source, now))
        return sheet.readings()
