"""Remember what was made from equal inputs, so that a pass over an unchanged world makes nothing."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Last:
    """One value, kept while its inputs stay the same."""

    def __init__(self) -> None:
        self._found: tuple[tuple[Any, ...], Any] | None = None

    def get(self, inputs: tuple[Any, ...], make: Callable[[], T]) -> T:
        """Return the value for `inputs`, made only if they differ from the last ones."""
        if self._found is None or self._found[0] != inputs:
            self._found = (inputs, make())
        value: T = self._found[1]
        return value


class Memo:
    """One value per key, kept while its inputs stay equal. What a round did not ask for is forgotten."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[tuple[Any, ...], Any]] = {}
        self._asked: dict[Hashable, tuple[tuple[Any, ...], Any]] = {}

    def get(self, key: Hashable, inputs: tuple[Any, ...], make: Callable[[], T]) -> T:
        """Return the value for `inputs`, made only if they differ from the last ones for `key`."""
        found = self._asked.get(key) or self._kept.get(key)
        if found is None or found[0] != inputs:
            found = (inputs, make())
        self._asked[key] = found
        value: T = found[1]
        return value

    def keep(self, key: Hashable) -> None:
        """Keep what there is for `key` over the end of this round."""
        if key not in self._asked and key in self._kept:
            self._asked[key] = self._kept[key]

    def end_round(self) -> None:
        """Forget what was not asked for since the last call."""
        self._kept, self._asked = self._asked, {}
