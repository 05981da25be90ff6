"""Where the signals of autoscaled versions are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from k8s_manager.autoscaling.scale_target import ScaleTarget, VersionKey
from ratelimiter.autoscale.signals import SignalReading


@dataclass(frozen=True, slots=True)
class SignalReadings:
    """What was read, by version and the name of the signal, at moments of the manager's clock (`Clock.now`); and by the
    same, in a sentence, why something could not be."""

    values: Mapping[VersionKey, Mapping[str, SignalReading]] = field(default_factory=dict)
    missing: Mapping[VersionKey, Mapping[str, str]] = field(default_factory=dict)


class SignalSource(Protocol):
    """Reads signals; what cannot be read is missing, and never an error."""

    async def read(self, versions: Sequence[ScaleTarget]) -> SignalReadings:
        """Return the signals that these versions ask for, as far as this source has them."""
