"""How long to wait before what failed, or ended, begins again. Pure, but for the chance in a jittered pause.

Everything that begins again uses it: calls, passes, watches, lists. So nothing runs hot, whatever a server answers.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

_MOST_DOUBLINGS = 64
"""More would be no number any more: a float ends at 1,024 of them, and what is tried for a day fails more often."""
MOST_ASKED = 60.0
"""The longest pause that a server may ask for (seconds): a wrong `Retry-After` must not silence the manager."""
Chance = Callable[[], float]
"""Returns a number from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The first pause and the longest, in seconds."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """Return the pause after so many failures in a row: twice as long each time."""
        return min(self.longest, self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))

    def pause(self, failures: int, error: BaseException | None = None, chance: Chance = random.random) -> float:
        """Return a jittered pause after so many failures in a row, the last of which was `error`: never shorter than
        what a server asked for by `Retry-After`."""
        return max(jittered(self.after(failures), chance), asked_by(error))


def jittered(pause: float, chance: Chance = random.random) -> float:
    """Return between half and one and a half of a pause, so that many clients do not return in the same moment."""
    return pause * (0.5 + chance())


def asked_by(error: BaseException | None) -> float:
    """Return for how many seconds a server asked to be left alone; 0 where it did not."""
    after = getattr(error, "after", None)
    return min(float(after), MOST_ASKED) if isinstance(after, int | float) and after > 0 else 0.0


class RestartPauses:
    """The pauses of one thing that begins again whenever it ends.

    They grow with each end, and begin again only after it has run for `healthy` seconds: what fails as soon as it has
    begun is never healthy.
    """

    def __init__(self, backoff: Backoff, healthy: float, chance: Chance = random.random) -> None:
        self._backoff, self._healthy, self._chance = backoff, healthy, chance
        self._ends = 0
        self._began: float | None = None

    def begin(self, now: float) -> None:
        """Note that it runs since `now`; while it runs already, nothing changes."""
        if self._began is None:
            self._began = now

    def end(self, now: float, error: BaseException | None = None) -> float:
        """Note that it ended at `now`, and return the pause before it begins again: none after a time of health, but
        for what a server asks for."""
        if self._was_healthy(now):
            return asked_by(error)
        return self._next(error)

    def fail(self, now: float, error: BaseException) -> float:
        """Note that it failed at `now`, and return the pause before it begins again: the first one after a time of
        health."""
        self._was_healthy(now)
        return self._next(error)

    def _was_healthy(self, now: float) -> bool:
        began, self._began = self._began, None
        if began is None or now - began < self._healthy:
            return False
        self._ends = 0
        return True

    def _next(self, error: BaseException | None) -> float:
        self._ends += 1
        return self._backoff.pause(self._ends, error, self._chance)
