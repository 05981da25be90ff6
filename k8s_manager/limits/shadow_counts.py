"""What has been counted of models in shadow and ramp."""

import asyncio

from istio_templates.facts import LimitKey
from k8s_manager.runtime.clock import Clock
from ratelimiter.evidence import HOUR, MINUTE, Window
from ratelimiter.modes import Evidence


class ShadowCounts:
    """Counts by identity; `changed` is set when what is shown of them is another.

    That moves by the minute, so that statuses need not follow every request.
    """

    def __init__(self, clock: Clock, changed: asyncio.Event) -> None:
        self._clock, self._changed = clock, changed
        self._windows: dict[LimitKey, Window] = {}
        self._shown: dict[LimitKey, Evidence] = {}
        self.version = 0

    def add(self, identity: LimitKey, refused: int, requests: int, since: float, now: float) -> None:
        """Add what was counted from `since` until `now` (seconds)."""
        before = self._windows.get(identity, Window())
        window = self._windows[identity] = before.add(refused, requests, since, now)
        found = window.evidence(now)
        another_minute = not before.minutes or before.minutes[-1].begin != window.minutes[-1].begin
        if found.over < MINUTE or another_minute:
            self._shown[identity] = found
            self.version += 1
            self._changed.set()

    def shown(self, identity: LimitKey) -> Evidence | None:
        """Return what people are shown of the last hour; None where nothing was counted yet."""
        return self._shown.get(identity)

    def evidence(self, identity: LimitKey, over: float = HOUR) -> Evidence | None:
        """Return what was counted of a model in the last seconds; None where nothing was yet."""
        window = self._windows.get(identity)
        return None if window is None else window.evidence(self._clock.now(), over)

    def forget(self, identity: LimitKey) -> None:
        """Begin counting from zero."""
        self._windows.pop(identity, None)
        self._shown.pop(identity, None)

    def end_round(self, identities: set[LimitKey]) -> None:
        """Forget all others."""
        for identity in self._windows.keys() - identities:
            self.forget(identity)
