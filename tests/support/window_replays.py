"""Each week of a synthetic year: the start that is chosen from the 28 days before, and what was the best one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import accumulate

from k8s_manager.release.windows.cron_window import CronWindow
from k8s_manager.release.windows.load_history import LoadHistory
from k8s_manager.release.windows.local_week import DAY_SLOTS, WEEK_SLOTS, week_slots
from k8s_manager.release.windows.next_window import next_window
from k8s_manager.release.windows.time_range import TimeRange
from k8s_manager.release.windows.window_decision import WindowDecision
from k8s_manager.release.windows.window_rules import Freeze, WindowRules
from tests.support.load_years import BEFORE, FIRST, LoadYear

LENGTH, DELAY, WEEKS = timedelta(hours=2), timedelta(days=7), 52
SIZE = int(LENGTH.total_seconds()) // 300
NEAR = 1.1
"""A start is near the best where its load is at most so many times that of the best."""
YEAR_END = Freeze("year-end", TimeRange(datetime(2025, 12, 20, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)))


@dataclass(frozen=True, slots=True)
class Week:
    """A week: the decision, and the load of its start, and of each peer's, over that of the best one. None: there is no
    start outside freezes."""

    decision: WindowDecision
    ours: float | None
    fixed: float | None
    last_week: float | None
    known_mean: float | None


@dataclass(frozen=True)
class YearReplay:
    """A year with its freezes: the end of the year, and with `weekends` from Friday noon to Monday morning."""

    year: LoadYear
    weekends: bool = False

    @property
    def rules(self) -> WindowRules:
        """The rules, with a delay of a week."""
        kind = self.year.kind
        return WindowRules(LENGTH, (), DELAY, kind.zone, kind.peak_share)

    @property
    def freezes(self) -> list[Freeze]:
        """The freezes of the year."""
        weekend = Freeze("weekend", CronWindow("0 12 * * 5", timedelta(hours=66), self.year.kind.zone))
        return [YEAR_END, weekend] if self.weekends else [YEAR_END]

    @cached_property
    def frozen(self) -> list[int]:
        """How many slots before each one are frozen."""
        found = [0] * len(self.year.truth)
        for freeze in self.freezes:
            for span in freeze.spans(FIRST, FIRST + len(found) * timedelta(minutes=5)):
                for slot in range(max(0, _slot(span.begins)), min(len(found), -_slot_before(span.ends))):
                    found[slot] = 1
        return [0, *accumulate(found)]

    @cached_property
    def seen(self) -> tuple[list[float], list[int]]:
        """The load before each slot that statistics have seen, and how many slots they know."""
        seen = self.year.seen
        return [0.0, *accumulate(rate or 0.0 for rate in seen)], [0, *accumulate(rate is not None for rate in seen)]

    def weeks(self) -> Iterator[Week]:
        """Yield each week."""
        year = self.year
        load, mean = [0.0, *accumulate(year.truth)], [0.0, *accumulate(year.mean)]
        down = [0, *accumulate(slot in year.outages for slot in range(len(year.truth)))]
        places = week_slots(year.kind.zone, int(FIRST.timestamp()) // 300, len(year.truth))
        for week in range(WEEKS):
            first = BEFORE * DAY_SLOTS + week * WEEK_SLOTS
            starts = [s for s in range(first, first + WEEK_SLOTS + 1) if self.frozen[s + SIZE] == self.frozen[s]]
            sums = {s: load[s + SIZE] - load[s] for s in starts}
            best = min((sums[s] for s in starts if down[s + SIZE] == down[s]), default=None)
            found = self.decision(first)
            chosen = None if found.start is None else _slot(found.start)
            picks = (chosen, self._fixed(starts, places), self._last_week(starts), _least(starts, mean))
            yield Week(found, *(None if s is None or best is None else sums.get(s, 1e9) / best for s in picks))

    def decision(self, first: int) -> WindowDecision:
        """Return the decision at a slot of the year, from the 28 days before."""
        begins = first - BEFORE * DAY_SLOTS
        past = LoadHistory(FIRST + begins * timedelta(minutes=5), self.year.seen[begins:first])
        return next_window(self.rules, past, self.freezes, FIRST + first * timedelta(minutes=5))

    def _fixed(self, starts: Sequence[int], places: Sequence[int]) -> int | None:
        """Return three o'clock of Sunday; of the first day that is not frozen where Sunday is."""
        three = [s for s in starts if places[s] % DAY_SLOTS == 36]
        return next((s for s in three if places[s] // DAY_SLOTS == 6), three[0] if three else None)

    def _last_week(self, starts: Sequence[int]) -> int | None:
        """Return the start that would have been the best one a week ago; what is missing is not looked at."""
        load, known = self.seen
        before = [s for s in starts if known[s - WEEK_SLOTS + SIZE] - known[s - WEEK_SLOTS] >= SIZE // 2]

        def mean(s: int) -> float:
            at = s - WEEK_SLOTS
            return (load[at + SIZE] - load[at]) / (known[at + SIZE] - known[at])

        return min(before, key=mean, default=starts[0] if starts else None)


def is_near(ratio: float | None) -> bool:
    """Tell whether a start is near the best one."""
    return ratio is not None and ratio <= NEAR


def in_a_freeze(replay: YearReplay, decision: WindowDecision) -> bool:
    """Tell whether any part of a window is frozen."""
    if decision.start is None or decision.end is None:
        return False
    return any(freeze.spans(decision.start, decision.end) for freeze in replay.freezes)


def _least(starts: Sequence[int], sums: Sequence[float]) -> int | None:
    return min(starts, key=lambda s: sums[s + SIZE] - sums[s], default=None)


def _slot(moment: datetime) -> int:
    return (moment - FIRST) // timedelta(minutes=5)


def _slot_before(moment: datetime) -> int:
    return (FIRST - moment) // timedelta(minutes=5)
