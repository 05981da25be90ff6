"""What happened, for listeners: limits, replicas, conditions. The last ones are kept for latecomers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from k8s_manager.runtime.clock import Clock

KEPT = 1000
BEHIND = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one object."""

    id: int
    time: str
    type: str
    object: str
    message: str
    details: dict[str, Any]


class Events:
    """A short memory and any number of listeners; a listener that falls behind loses the oldest events."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._listeners: set[asyncio.Queue[Event]] = set()

    @property
    def last(self) -> int:
        """The id of the last event; 0 before the first."""
        return self._last

    def publish(self, type_: str, subject: str, message: str, **details: Any) -> None:
        """Publish an event to all streams."""
        self._last += 1
        time = self._clock.utc().isoformat(timespec="milliseconds")
        event = Event(self._last, time, type_, subject, message, details)
        self._kept.append(event)
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    def recent(self, subject: str | None = None) -> list[Event]:
        """Return what is remembered, the oldest first."""
        return [event for event in self._kept if subject is None or event.object == subject]

    async def listen(self, after: int) -> AsyncIterator[Event]:
        """Yield what is remembered after event `after`, then what comes."""
        queue: asyncio.Queue[Event] = asyncio.Queue(BEHIND)
        self._listeners.add(queue)
        try:
            for event in [event for event in self._kept if event.id > after]:
                yield event
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)
