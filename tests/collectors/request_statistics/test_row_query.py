"""The rows of several collectors are those of one, whichever of them has read which pod at what time."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.access_log.engine import Engine
from collectors.access_log.rows import StatsRow
from collectors.request_statistics.row_query import (
    RowAnswer,
    RowQuery,
    fine_since,
    kept_since,
    merged_rows,
    packed_rows,
    unpacked_rows,
)
from collectors.request_statistics.series import FINE, RowSeries, in_steps
from tests.collectors.access_log.lines import LIMITED, line

T0 = 1_800_000_000
PODS = ("gw/a", "gw/b", "gw/c")
END = T0 + 3 * FINE


def lines_of(pod: str, start: int, end: int) -> list[bytes]:
    """Return a request each seven seconds, some of them refused, in a share of their own for each pod."""
    step = 7 + PODS.index(pod)
    return [line(T0 + s, **(LIMITED if s % 3 else {})) for s in range(0, end - T0, step) if T0 + s >= start]


class Reader:
    """One collector: an engine and a series."""

    def __init__(self) -> None:
        self.series = RowSeries()

    def read(self, pod: str, start: int, end: int) -> None:
        engine = Engine()
        engine.begin(pod, start // 10 * 10)
        self.series.put(engine.feed(pod, lines_of(pod, start, end)))
        self.series.put(engine.end(pod))

    def answer(self, query: RowQuery) -> list[StatsRow]:
        rows = self.series.rows(query.is_about, query.start, query.end)
        sent = RowAnswer(packed_rows(query, rows, self.series.is_shared), T0)
        return unpacked_rows(query, msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=RowAnswer).rows)


def whole(query: RowQuery) -> list[StatsRow]:
    one = Reader()
    for pod in PODS:
        one.read(pod, T0, END)
    one.series.age(END)
    return merged_rows(query, one.answer(query))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(PODS), st.integers(0, END - T0), st.booleans()), max_size=4),
    st.sampled_from(["platform", "model", "version"]),
    st.sampled_from([60, 300]),
)
def test_pods_that_change_hands_count_once(moves: list[tuple[str, int, bool]], level: str, step: int) -> None:
    """Each pod is read by one collector until it moves to the other, which reads a quarter of an hour before that."""
    query = RowQuery(level, T0, END, step, fine_since(END))
    readers, by_pod = (Reader(), Reader()), dict.fromkeys(PODS, 0)
    since = dict.fromkeys(PODS, T0)
    for pod, moment, _ in sorted(moves, key=lambda move: move[1]):
        at = T0 + moment
        readers[by_pod[pod]].read(pod, since[pod], at)
        readers[by_pod[pod]].series.share(pod, at + 60)
        by_pod[pod] = 1 - by_pod[pod]
        since[pod] = max(T0, at - FINE)
        readers[by_pod[pod]].series.share(pod, at + 60)
    for pod in PODS:
        readers[by_pod[pod]].read(pod, since[pod], END)
    for reader, moment in zip(readers, (END, END - 70), strict=True):
        reader.series.age(moment)
    assert merged_rows(query, [row for reader in readers for row in reader.answer(query)]) == whole(query)


def test_rows_of_the_same_pods_of_two_collectors_are_added_up_where_they_are_different_pods() -> None:
    query = RowQuery("model", END - 600, END, 10, fine_since(END))
    one, two = Reader(), Reader()
    one.read("gw/a", T0, END)
    two.read("gw/b", T0, END)
    both = merged_rows(query, [*one.answer(query), *two.answer(query)])
    parts = [merged_rows(query, reader.answer(query)) for reader in (one, two)]
    assert sum(row.requests for row in both) == sum(row.requests for part in parts for row in part) > 0
    assert both == in_steps([row for part in parts for row in part], 10)


def test_a_query_is_about_what_it_names() -> None:
    reader = Reader()
    reader.read("gw/a", T0, T0 + 100)
    mine = RowQuery("model", T0, T0 + 100, 10, tenant="search", model="ranker")
    assert merged_rows(mine, reader.answer(mine))
    other = RowQuery("model", T0, T0 + 100, 10, tenant="search", model="other")
    assert not merged_rows(other, reader.answer(other))


def test_what_is_kept_begins_with_a_whole_minute() -> None:
    assert kept_since(END + 17) % 60 == fine_since(END + 17) % 60 == 0
    assert kept_since(END) < fine_since(END) < END
