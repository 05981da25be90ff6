"""Slots whose limits no gateway pod took: what is written there instead, and until when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ratelimiter.controller import Limits, Slot


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Limits that no gateway pod took, those that are written instead, and when the first are tried again (seconds)."""

    rejected: Limits
    good: Limits
    until: float


class SlotRollbacks:
    """All rollbacks that are under way. The controller goes on wanting what was rejected, and is shown it."""

    def __init__(self) -> None:
        self._found: dict[Slot, RolledBack] = {}

    def __iter__(self) -> Iterator[Slot]:
        return iter(sorted(self._found))

    def add(self, slot: Slot, back: RolledBack) -> None:
        """Begin one."""
        self._found[slot] = back

    def end(self, slots: Mapping[Slot, Limits], now: float) -> bool:
        """Forget what is over: its time, its gateway, or what was written there; tell whether anything was."""
        over = [
            slot
            for slot, back in self._found.items()
            if now >= back.until or slots.get(slot) not in (back.rejected, back.good)
        ]
        for slot in over:
            del self._found[slot]
        return bool(over)

    def next_end(self) -> float | None:
        """Return when the next one is tried again."""
        return min((back.until for back in self._found.values()), default=None)

    def meant(self, slot: Slot, found: Limits) -> Limits:
        """Return what the controller wanted of a slot in which `found` is."""
        back = self._found.get(slot)
        return back.rejected if back and found == back.good else found

    def instead(self, slot: Slot, limits: Limits) -> Limits:
        """Return what is written to a slot of which `limits` are wanted."""
        back = self._found.get(slot)
        return back.good if back and limits == back.rejected else limits
