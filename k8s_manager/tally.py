"""What has been counted of models in shadow and ramp, for whoever asks."""

import asyncio

from ratelimiter.evidence import MINUTE, Window
from ratelimiter.modes import Evidence


def told_until(window: Window) -> float | None:
    """Return when the last minute of a window began; None where it has none."""
    return window.minutes[-1].begin if window.minutes else None


class Tally:
    """Counts by identity. What is told of them moves by the minute, so that statuses need not follow every request."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}
        self._told: dict[str, Evidence] = {}
        self.version = 0
        self.changed = asyncio.Event()

    def add(self, identity: str, refused: int, requests: int, since: float, now: float) -> None:
        """Add what was counted from `since` until `now` (seconds)."""
        before = self._windows.get(identity, Window())
        window = self._windows[identity] = before.add(refused, requests, since, now)
        told, found = self._told.get(identity), window.evidence(now)
        new_minute = found.over < MINUTE or window.minutes[-1].begin != told_until(before)
        if told is None or (new_minute and told != found):
            self._told[identity] = found
            self.version += 1
            self.changed.set()

    def evidence(self, identity: str) -> Evidence | None:
        """Return what was counted of a model; None where nothing was yet."""
        return self._told.get(identity)

    def end_round(self, identities: set[str]) -> None:
        """Forget all others."""
        self._windows = {i: window for i, window in self._windows.items() if i in identities}
        self._told = {i: found for i, found in self._told.items() if i in identities}
