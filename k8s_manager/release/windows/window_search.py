"""What a window is looked for in, and how it is said that there is none."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from k8s_manager.release.windows.local_week import STEP, next_slot, slot_of
from k8s_manager.release.windows.time_range import TimeRange, united
from k8s_manager.release.windows.window_decision import WindowDecision, WindowReason
from k8s_manager.release.windows.window_rules import Freeze, WindowRules
from k8s_manager.release.windows.window_text import freezes_text, moment_text


@dataclass(frozen=True, slots=True)
class WindowSearch:
    """A search for a window that begins from `earliest` until `deadline`, outside the freezes."""

    rules: WindowRules
    freezes: tuple[Freeze, ...]
    earliest: datetime
    deadline: datetime

    @property
    def slots(self) -> int:
        """The slots of a window."""
        return -(-self.rules.length // STEP)

    @property
    def horizon(self) -> TimeRange:
        """From the first moment that a window may have to the last one."""
        return TimeRange(self.earliest, self.deadline + self.slots * STEP)

    def frozen(self, ends: datetime | None = None) -> list[TimeRange]:
        """Return the frozen spans of the horizon, or until `ends`, in ascending order and apart from each other."""
        begins, last = self.horizon
        return united(span for freeze in self.freezes for span in freeze.spans(begins, max(last, ends or last)))

    def frozen_slots(self, first: int, count: int) -> list[bool]:
        """Return of each of `count` slots from `first` on whether a freeze has a part of it."""
        found = [False] * count
        for span in self.frozen():
            for slot in _within(range(first, first + count), slot_of(span.begins), next_slot(span.ends)):
                found[slot - first] = True
        return found

    def none(self, reason: WindowReason, why: str) -> WindowDecision:
        """Return that no window comes; `why` is a clause that ends with the remedy."""
        by = moment_text(self.deadline, self.rules.zone)
        return WindowDecision(None, None, reason, f"No window begins by {by} ({self.rules.zone}): {why}.")

    def frozen_over(self) -> WindowDecision:
        """Return that freezes leave no window."""
        named = freezes_text(self.freezes, self.horizon, self.rules.zone)
        return self.none(
            WindowReason.FROZEN,
            f"frozen by {named}; end or shorten the freeze, raise maxDelay, or wait and retry"
            if named
            else "statistics know nothing of the hours until then; raise maxDelay, or give static windows",
        )

    def expired(self) -> WindowDecision:
        """Return that the release has waited as long as it may."""
        return self.none(WindowReason.EXPIRED, "it has waited as long as it may; retry it, or raise maxDelay")


def _within(bounds: range, first: int, end: int) -> Iterable[int]:
    return range(max(bounds.start, first), min(bounds.stop, end))
