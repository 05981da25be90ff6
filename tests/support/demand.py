"""A demand that a test sets, as what reads the signals of autoscaled versions."""

from collections.abc import Sequence

from k8s_manager.autoscaling.scale_target import ScaleTarget
from k8s_manager.autoscaling.signal_source import SignalReadings
from k8s_manager.runtime.clock import Clock
from ratelimiter.autoscale.signals import SignalReading
from tests.support.simulated import SimulatedClock


class SetDemand:
    """The same demand of every version, in requests/s; None: it cannot be read. By default in simulated time."""

    def __init__(self, demand: float | None, clock: Clock | None = None) -> None:
        self.demand, self._clock = demand, clock or SimulatedClock()

    async def read(self, versions: Sequence[ScaleTarget]) -> SignalReadings:
        """Return the demand as of now."""
        if self.demand is None:
            return SignalReadings(missing={version.key: {"demand": "no collector answers"} for version in versions})
        reading = SignalReading(self.demand, self._clock.now())
        return SignalReadings({version.key: {"demand": reading} for version in versions})
