"""Lanes: where a loop's effects on the outside are carried out, each failure coming back as a moment when it is due.

A pass hands its effects to a lane and goes on when each has ended or is late. A late one runs on in the background, at
most one for each key, and wakes the loop when it ends. A failed one is due again after a pause: the loop asks its
`Effects` when to make its next pass, so no effect has to see to that itself, and none can forget it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from istio_templates.errors import Stalled, TidegateError
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.effects.effect_book import EffectBook, FailedEffect
from k8s_manager.runtime.metrics import EFFECTS

log = logging.getLogger(__name__)
K = TypeVar("K", bound=Hashable)
Effect = Callable[[], Awaitable[object]]
"""One attempt. It raises a `TidegateError` where it fails; it handles nothing of that itself."""
BACKOFF = Backoff(0.5, 60.0)
PATIENCE = 1.0
"""For how many seconds a pass waits for one effect."""


class Lane(Generic[K]):
    """Carries out the effects of one kind, at most `places` at once, those that are late not counted."""

    def __init__(
        self, name: str, clock: Clock, wake: asyncio.Event | None, places: int, patience: float, backoff: Backoff
    ) -> None:
        self._name, self._clock, self._wake, self._patience = name, clock, wake, patience
        self._places, self._late_places = asyncio.Semaphore(places), 2 * places
        self.book: EffectBook[K] = EffectBook(backoff)
        self._tasks: dict[K, asyncio.Task[None]] = {}
        self._groups: dict[K, Hashable] = {}
        self._late: set[K] = set()
        self._succeeded = EFFECTS.labels(name, "success")

    @property
    def late(self) -> frozenset[K]:
        """The effects that passes no longer wait for."""
        return frozenset(self._late)

    @property
    def failed(self) -> Mapping[K, FailedEffect]:
        """The effects whose last attempt failed."""
        return self.book.failed

    async def run(self, effects: Mapping[K, Effect], group: Callable[[K], Hashable] = lambda key: key) -> frozenset[K]:
        """Try those effects that may be tried now; return the keys of all that have not arrived: failed, late, or not
        tried. While one of a `group` is late, no other of it begins, so that one owner cannot use up all places."""
        now = self._clock.now()
        begun = [key for key in effects if self.book.may_begin(key, now)]
        for key in begun:
            self.book.begin(key)
        try:
            arrived = await asyncio.gather(*(self._try(key, effects[key], group(key)) for key in begun))
        except asyncio.CancelledError:
            await self.close()
            raise
        return frozenset(effects) - {key for key, has_arrived in zip(begun, arrived, strict=True) if has_arrived}

    def stuck_groups(self) -> frozenset[Hashable]:
        """Return the groups of which an effect is late."""
        return frozenset(self._groups[key] for key in self._late)

    async def close(self) -> None:
        """Cancel what is under way, and wait until it has ended."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.book.abandon_all()

    async def _try(self, key: K, effect: Effect, group: Hashable) -> bool:
        """Make an attempt, and wait for it as long as there is patience; tell whether it has arrived."""
        async with self._places:
            if group in self.stuck_groups():
                self.book.abandon(key)
                return False
            ended = asyncio.Event()
            self._groups[key] = group
            task = self._tasks[key] = asyncio.create_task(self._carry_out(key, effect))
            task.add_done_callback(lambda _: ended.set())
            if not task.done() and not await self._clock.wait(ended, self._patience) and not task.done():
                await self._leave(key, ended)
        return task.done() and not task.cancelled() and key not in self.book.failed

    async def _leave(self, key: K, ended: asyncio.Event) -> None:
        """Let an effect run on; where too many do already, its place is not given to another."""
        has_room = len(self._late) < self._late_places
        self._late.add(key)
        EFFECTS.labels(self._name, "late").inc()
        log.warning("%s of %s takes longer than %.1f s; the pass continues without it", self._name, key, self._patience)
        if not has_room:
            await ended.wait()

    async def _carry_out(self, key: K, effect: Effect) -> None:
        try:
            await effect()
        except asyncio.CancelledError:
            self.book.abandon(key)
            raise
        except TidegateError as error:
            self._fail(key, error)
        except Exception as error:  # one unforeseen error must not stop all other effects
            log.exception("%s of %s failed", self._name, key)
            self._fail(key, Stalled(f"{self._name} of {key}: {error!r}; look at the object and mend it"))
        else:
            self.book.succeed(key)
            self._succeeded.inc()
        finally:
            self._tasks.pop(key, None)
            self._groups.pop(key, None)
            if key in self._late:
                self._late.discard(key)
                if self._wake:
                    self._wake.set()

    def _fail(self, key: K, error: TidegateError) -> None:
        """Note a failure; log it when it is another than the last time."""
        before = self.book.failed.get(key)
        found = self.book.fail(key, error, self._clock.now())
        EFFECTS.labels(self._name, "failure").inc()
        if before is None or str(before.error) != str(error):
            pause = found.due - self._clock.now()
            log.warning("%s of %s failed: %s; it is tried again in %.1f s", self._name, key, error, pause)


class Effects:
    """The lanes of one loop; `wake` begins its next pass."""

    def __init__(self, clock: Clock, wake: asyncio.Event) -> None:
        self._clock, self.wake = clock, wake
        self._lanes: list[Lane[Any]] = []

    def lane(
        self, name: str, places: int, patience: float = PATIENCE, backoff: Backoff = BACKOFF, wakes: bool = True
    ) -> Lane[Any]:
        """Return a new lane, for effects of one kind; `wakes`: the end of a late one begins a pass."""
        lane: Lane[Any] = Lane(name, self._clock, self.wake if wakes else None, places, patience, backoff)
        self._lanes.append(lane)
        return lane

    def end_pass(self, began: float) -> float | None:
        """Return when the next effect that failed is due; what was due at the pass that `began` then, and was not tried
        in it, is not desired any more."""
        for lane in self._lanes:
            lane.book.forget_untried(began)
        return earliest(lane.book.next_due() for lane in self._lanes)

    async def close(self) -> None:
        """Cancel all that is under way, as the loop ends."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))


def earliest(moments: Iterable[float | None]) -> float | None:
    """Return the first of some moments; None where there is none."""
    return min((at for at in moments if at is not None), default=None)
