"""Which offset may be committed: a collector that dies at any moment is replaced by one whose rows are complete."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.access_log.engine import Engine
from collectors.access_log.partition_progress import PartitionProgress, ReadPosition
from collectors.access_log.rows import WINDOW, RowKey, StatsRow
from collectors.access_log.windows import Lateness
from tests.collectors.access_log.lines import BEGIN, line

LATENESS = Lateness(5, 60)
SOURCE = "lines/0"
delays = st.floats(0, 60, allow_nan=False)
"""Seconds by which a line is behind the time: never too late, or that alone would cost a request."""
lines_of_time = st.lists(st.tuples(st.integers(0, 30), delays), min_size=20, max_size=40)
turns = st.tuples(
    st.integers(1, 9),
    st.sampled_from([(), ("write",), ("acknowledge",), ("acknowledge",)]),
    st.sampled_from([(), ("commit",), ("commit",)]),
    st.sampled_from([(), (), ("die",), ("write", "die")]),
)
acts = st.lists(turns, max_size=15).map(
    lambda found: [
        act for count, *more in found for act in [("feed", count), *((name, 0) for part in more for name in part)]
    ]
)


class Reader:
    """A collector of one partition, without Kafka: what it has `committed` and what the sink has outlive it."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self.committed = ReadPosition(0, 0)
        self.sink: dict[RowKey, StatsRow] = {}
        self.die()

    def die(self) -> None:
        self._engine = Engine(lateness=LATENESS)
        self._engine.begin(SOURCE, self.committed.floor)
        self._progress = PartitionProgress(self.committed)
        self._pending: list[StatsRow] = []

    def feed(self, count: int) -> None:
        first = self._progress.next
        given = self._lines[first : first + count]
        rows = self._engine.feed(SOURCE, given)
        starts = {row.key.start for row in rows}
        self._progress.feed(first, first + len(given), self._engine.windows(SOURCE), starts)
        self._pending += rows

    def write(self, _count: int = 0) -> None:
        """Rows arrive, and the answer is lost."""
        self.sink |= {row.key: row for row in self._pending}

    def acknowledge(self, _count: int = 0) -> None:
        self.write()
        self._progress.acknowledge()
        self._pending.clear()

    def commit(self, _count: int = 0) -> None:
        self.committed = self.position()

    def position(self) -> ReadPosition:
        return self._progress.position(self._engine.wanted(SOURCE, 0))

    def act(self, name: str, count: int) -> None:
        self.die() if name == "die" else getattr(self, name)(count)

    def finish(self) -> None:
        """Read the rest, and let time close all windows."""
        self.feed(len(self._lines))
        self._pending += self._engine.end(SOURCE)
        self.acknowledge()

    def requests(self) -> dict[int, int]:
        rows = [row for row in self.sink.values() if row.key.place.level == "platform"]
        return {row.key.start: row.requests for row in rows}


def moments(steps: list[tuple[int, float]]) -> list[float]:
    out, time = list[float](), float(BEGIN)
    for step, delay in steps:
        time += step
        out.append(round(time - delay, 3))
    return out


@settings(max_examples=150)
@given(steps=lines_of_time, acted=acts)
def test_every_window_is_exact_wherever_a_collector_dies(steps, acted):
    times = moments(steps)
    reader = Reader([line(time) for time in times])
    for name, count in acted:
        reader.act(name, count)
    reader.finish()
    assert reader.requests() == Counter(int(time) // WINDOW * WINDOW for time in times)


@given(steps=lines_of_time, acted=acts)
def test_a_position_never_goes_back_and_never_runs_ahead_of_what_was_read(steps, acted):
    reader, before = Reader([line(time) for time in moments(steps)]), ReadPosition(0, 0)
    for name, count in acted:
        reader.act(name, count)
        position = reader.position()
        if name == "die":
            before = reader.committed
        assert position >= before and position.floor >= before.floor
        assert position.offset <= reader._progress.next
        before = position


def test_a_window_holds_its_first_offset_until_its_rows_are_acknowledged():
    progress = PartitionProgress(ReadPosition(100, 0))
    progress.feed(100, 110, windows={10}, emitted=set())
    progress.feed(110, 120, windows={20}, emitted={10})
    assert progress.position(changing=20) == (100, 10)
    progress.acknowledge({10})
    assert progress.position(changing=20) == (110, 20)


def test_a_window_that_is_complete_is_held_while_an_older_one_is_not():
    progress = PartitionProgress(ReadPosition(0, 0))
    progress.feed(0, 5, windows={10, 20}, emitted=set())
    progress.feed(5, 9, windows=set(), emitted={10, 20})
    progress.acknowledge({20})
    assert progress.position(changing=30) == (0, 10)


def test_a_window_that_came_and_went_in_one_batch_is_held_until_it_is_acknowledged():
    progress = PartitionProgress(ReadPosition(0, 0))
    progress.feed(0, 5, windows=set(), emitted={10})
    progress.feed(5, 9, windows=set(), emitted={20})
    progress.acknowledge({10})
    assert progress.position(changing=200) == (5, 20)


def test_where_nothing_is_open_the_next_offset_is_committed():
    progress = PartitionProgress(ReadPosition(7, 0))
    progress.feed(7, 30, windows=set(), emitted={10})
    progress.acknowledge()
    assert progress.position(changing=40) == (30, 40)
