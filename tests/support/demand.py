"""A demand that a test sets, as what reads the signals of autoscaled versions."""

import asyncio
from collections.abc import Sequence

from k8s_manager.autoscaling.scale_target import ScaleTarget
from k8s_manager.autoscaling.signal_source import SignalReadings
from ratelimiter.autoscale.signals import SignalReading


class SetDemand:
    """The same demand of every version, in requests/s; None: it cannot be read."""

    def __init__(self, demand: float | None) -> None:
        self.demand = demand

    async def read(self, versions: Sequence[ScaleTarget]) -> SignalReadings:
        """Return the demand as of now, on the clock of the running loop."""
        if self.demand is None:
            return SignalReadings(missing={version.key: {"demand": "no collector answers"} for version in versions})
        reading = SignalReading(self.demand, asyncio.get_running_loop().time())
        return SignalReadings({version.key: {"demand": reading} for version in versions})
