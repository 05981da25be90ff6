"""What one source has read while it reads: values with their moments, or why there is none."""

from collections.abc import Collection, Iterator, Sequence

from istio_templates.documents.autoscale_signal import Signal, SignalKind
from k8s_manager.autoscaling.scale_target import ScaleTarget, VersionKey
from k8s_manager.autoscaling.signal_source import SignalReadings
from k8s_manager.runtime.clock import Clock
from ratelimiter.autoscale.signals import SignalReading

MOST_SENTENCE = 500
"""Characters of why a signal is missing: what other programs say may be of any length."""


def signals_of(versions: Sequence[ScaleTarget], kinds: Collection[SignalKind]) -> Iterator[tuple[ScaleTarget, Signal]]:
    """Yield the signals of some kinds that versions ask for."""
    for version in versions:
        for signal in version.document.signals:
            if signal.kind in kinds:
                yield version, signal


class SignalSheet:
    """Collects readings; moments of the wall clock become those of the manager's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: dict[VersionKey, dict[str, SignalReading]] = {}
        self._missing: dict[VersionKey, dict[str, str]] = {}

    def put(self, version: ScaleTarget, signal: Signal, found: float | str, at: float | None = None) -> None:
        """Note a value, of a moment in epoch seconds (None: of now), or the sentence that says why there is none."""
        if isinstance(found, str):
            self._missing.setdefault(version.key, {})[signal.name] = found[:MOST_SENTENCE]
            return
        age = 0.0 if at is None else max(0.0, self._clock.utc().timestamp() - at)
        reading = SignalReading(found, self._clock.now() - age)
        self._values.setdefault(version.key, {})[signal.name] = reading

    def readings(self) -> SignalReadings:
        """Return what was noted."""
        return SignalReadings(self._values, self._missing)
