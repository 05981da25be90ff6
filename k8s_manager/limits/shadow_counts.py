"""What has been counted of models in shadow and ramp, for whoever asks."""

import asyncio

from k8s_manager.runtime.clock import Clock
from ratelimiter.evidence import HOUR, MINUTE, Window
from ratelimiter.modes import Evidence


class ShadowCounts:
    """Counts by identity. What is told of them moves by the minute, so that statuses need not follow every request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[str, Window] = {}
        self._told: dict[str, Evidence] = {}
        self.version = 0
        self.changed = asyncio.Event()

    def add(self, identity: str, refused: int, requests: int, since: float, now: float) -> None:
        """Add what was counted from `since` until `now` (seconds)."""
        before = self._windows.get(identity, Window())
        window = self._windows[identity] = before.add(refused, requests, since, now)
        found = window.evidence(now)
        another_minute = not before.minutes or before.minutes[-1].begin != window.minutes[-1].begin
        if found.over < MINUTE or another_minute:
            self._told[identity] = found
            self.version += 1
            self.changed.set()

    def told(self, identity: str) -> Evidence | None:
        """Return what people are told of the last hour; None where nothing was counted yet."""
        return self._told.get(identity)

    def evidence(self, identity: str, over: float = HOUR) -> Evidence | None:
        """Return what was counted of a model in the last seconds; None where nothing was yet."""
        window = self._windows.get(identity)
        return None if window is None else window.evidence(self._clock.now(), over)

    def forget(self, identity: str) -> None:
        """Count anew from now on."""
        self._windows.pop(identity, None)
        self._told.pop(identity, None)

    def end_round(self, identities: set[str]) -> None:
        """Forget all others."""
        for identity in self._windows.keys() - identities:
            self.forget(identity)
