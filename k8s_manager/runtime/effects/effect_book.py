"""Which effects are under way, and when those that failed are due again. Pure: moments are passed in.

Effects have keys. One with the same key is never under way twice, and one that failed is not tried again before its
pause is over.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from istio_templates.errors import TidegateError
from k8s_manager.runtime.backoff import Backoff

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class FailedEffect:
    """An effect that did not arrive: why, how often in a row, and when it is tried again (seconds of the clock)."""

    error: TidegateError
    attempts: int
    due: float


class EffectBook(Generic[K]):
    """What is under way, what has failed, and what has come to its end late, after its pass had gone on."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._under_way: set[K] = set()
        self._failed: dict[K, FailedEffect] = {}

    @property
    def under_way(self) -> frozenset[K]:
        """The effects that have begun and not ended."""
        return frozenset(self._under_way)

    @property
    def failed(self) -> dict[K, FailedEffect]:
        """The effects whose last attempt failed, those under way again included."""
        return dict(self._failed)

    def may_begin(self, key: K, now: float) -> bool:
        """Tell whether an effect may be tried now."""
        return key not in self._under_way and not self.is_backing_off(key, now)

    def is_backing_off(self, key: K, now: float) -> bool:
        """Tell whether an effect has failed, and its pause is not over."""
        return key in self._failed and self._failed[key].due > now

    def begin(self, key: K) -> None:
        """Note that an effect is under way."""
        self._under_way.add(key)

    def succeed(self, key: K) -> None:
        """Note that an effect has arrived."""
        self._under_way.discard(key)
        self._failed.pop(key, None)

    def fail(self, key: K, error: TidegateError, now: float) -> FailedEffect:
        """Note that an effect failed, and return when it is due again."""
        self._under_way.discard(key)
        before = self._failed.get(key)
        attempts = before.attempts + 1 if before else 1
        found = self._failed[key] = FailedEffect(error, attempts, now + self._backoff.pause(attempts, error))
        return found

    def abandon(self, key: K) -> None:
        """Note that an effect was not tried after all, or cancelled: its result is unknown."""
        self._under_way.discard(key)

    def abandon_all(self) -> None:
        """Note that nothing is under way any more."""
        self._under_way.clear()

    def forget(self, keys: Collection[K]) -> None:
        """Forget failures, so that what failed is tried at once or not at all."""
        for key in keys:
            self._failed.pop(key, None)

    def retain(self, wanted: Collection[K]) -> None:
        """Forget the failures of all effects but those that are still desired."""
        self.forget([key for key in self._failed if key not in wanted and key not in self._under_way])

    def postpone(self, now: float, until: float) -> None:
        """Move the next attempt of what failed, and is due, to a later moment: its pauses still grow."""
        for key, found in self._failed.items():
            if found.due <= now and key not in self._under_way:
                self._failed[key] = replace(found, due=until)

    def forget_untried(self, began: float) -> None:
        """Forget what was due when a pass began and was not tried in it: no pass asks for it any more."""
        self.forget([key for key, found in self._failed.items() if found.due <= began and key not in self._under_way])

    def next_due(self) -> float | None:
        """Return when the next effect that failed is due; what is under way is not."""
        return min((found.due for key, found in self._failed.items() if key not in self._under_way), default=None)
