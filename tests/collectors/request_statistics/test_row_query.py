"""The rows of several collectors are those of one, whichever of them has read which pod at what time."""

from dataclasses import replace
from typing import NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.access_log.engine import Engine
from collectors.access_log.rows import StatsRow
from collectors.request_statistics.row_query import (
    PackedRow,
    RowAnswer,
    RowQuery,
    fine_since,
    kept_since,
    merged_rows,
    packed_rows,
    unpacked_rows,
    without_arms,
)
from collectors.request_statistics.series import FINE, RowSeries, in_steps
from tests.collectors.access_log.lines import LIMITED, line

T0 = 1_800_000_000
PODS = ("gw/a", "gw/b", "gw/c")
END = T0 + 3 * FINE
ARMS = ("", "", ".testers", ".beta")


def lines_of(pod: str, start: int, end: int) -> list[bytes]:
    """Return a request each seven seconds, some of them refused and some matched, in a share of their own for each
    pod."""
    step = 7 + PODS.index(pod)
    moments = [s for s in range(0, end - T0, step) if T0 + s >= start]
    return [line(T0 + s, route=f"search.ranker.0{ARMS[s % 4]}", **(LIMITED if s % 3 else {})) for s in moments]


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
    st.booleans(),
)
def test_pods_that_change_hands_count_once(
    moves: list[tuple[str, int, bool]], level: str, step: int, arms: bool
) -> None:
    """Each pod is read by one collector until it moves to the other, which reads a quarter of an hour before that."""
    query = RowQuery(level, T0, END, step, fine_since(END), arms=arms)
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


def test_arms_are_told_apart_for_who_asks_for_them() -> None:
    reader = Reader()
    reader.read("gw/a", T0, T0 + 600)
    asked = RowQuery("version", T0, T0 + 600, 600, arms=True)
    rows = merged_rows(asked, reader.answer(asked))
    assert {row.key.place.arm for row in rows} == {"", "testers", "beta"}
    together = merged_rows(replace(asked, arms=False), reader.answer(replace(asked, arms=False)))
    assert together == in_steps(without_arms(rows), 600) and len(together) == 1


def test_arms_of_one_window_that_two_collectors_have_read_count_once_together() -> None:
    lines = [line(T0 + 1, route=f"search.ranker.0{arm}") for arm in ARMS for _ in range(3)]
    query = RowQuery("version", T0, T0 + 60, 60, fine_since(T0 + 60))
    readers = (Reader(), Reader())
    for reader in readers:
        engine = Engine()
        reader.series.put([*engine.feed("gw/a", lines), *engine.end("gw/a")])
        reader.series.share("gw/a", T0 + 60)
    (row,) = merged_rows(query, [row for reader in readers for row in reader.answer(query)])
    assert row.requests == len(lines) and row.key.place.arm == ""


class OldPlace(NamedTuple):
    """A place as older managers read it."""

    level: str
    gateway: str = ""
    tenant: str = ""
    model: str = ""
    version: str = ""


def test_managers_and_collectors_of_older_releases_understand_each_other() -> None:
    reader = Reader()
    reader.read("gw/a", T0, T0 + 600)
    query = RowQuery("version", T0, T0 + 600, 600)
    rows = packed_rows(query, reader.series.rows(query.is_about, T0, T0 + 600), lambda _: True)
    body = msgspec.msgpack.encode(rows)
    old = msgspec.msgpack.decode(body, type=list[tuple[OldPlace, int, str, bytes]])
    assert {place for place, *_ in old} == {OldPlace("version", "", "search", "ranker", "v1")}
    newer = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=list[PackedRow])
    assert unpacked_rows(query, newer) == unpacked_rows(query, rows)


def test_what_is_kept_begins_with_a_whole_minute() -> None:
    assert kept_since(END + 17) % 60 == fine_since(END + 17) % 60 == 0
    assert kept_since(END) < fine_since(END) < END
