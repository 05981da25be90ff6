"""Rows in memory: sums stay sums when they become coarser, and nothing is kept for ever."""

import io
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from collectors.access_log.engine import Engine
from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import LEVELS, RowKey, RowPlace, StatsRow
from collectors.access_log.shares import reader_of
from collectors.access_log.text_lines import LINE_MAX, LineSplitter, batches
from collectors.request_statistics.row_codec import packed, unpacked
from collectors.request_statistics.series import COARSE, FINE, MINUTE, RowSeries, in_steps
from collectors.request_statistics.summary import summary
from tests.collectors.access_log.lines import BEGIN, LIMITED, at_level, line

MODEL = RowPlace("model", "", "search", "ranker")
figures = st.integers(0, 2**62)
rows = st.builds(
    lambda counts, sums, latency: StatsRow(RowKey(MODEL, BEGIN, ""), 0, tuple(counts), *sums, latency),
    counts=st.lists(figures, min_size=len(OUTCOMES), max_size=len(OUTCOMES)),
    sums=st.tuples(figures, figures, figures),
    latency=st.dictionaries(st.integers(0, 700), st.integers(1, 2**40), max_size=70),
)


@given(rows)
def test_a_packed_row_is_the_same_row(row: StatsRow):
    assert unpacked(row.key, packed(row)) == row


def filled(seconds: int, sources: tuple[str, ...] = ("gw-0", "gw-1")) -> tuple[RowSeries, int]:
    """Return a series with a request a second of each source, and how many that are."""
    series = RowSeries()
    for source in sources:
        engine = Engine()
        for second in range(seconds):
            series.put(engine.feed(source, [line(BEGIN + second)]))
        series.put(engine.end(source))
    return series, seconds * len(sources)


def counted(series: RowSeries, level: str = "model", step: int = MINUTE) -> int:
    found = in_steps(series.rows(at_level(level), 0, 2**40), step)
    return sum(row.requests for row in found)


def test_age_makes_rows_coarser_and_changes_no_sum():
    series, asked = filled(1200)
    for now in (*range(BEGIN, BEGIN + 1200 + FINE, 300), BEGIN + 1200 + FINE + 2 * MINUTE):
        series.age(now)
        for level in LEVELS:
            assert counted(series, level) == asked
    starts = {row.key.start for row in series.rows(at_level("model"), 0, 2**40)}
    assert all(start % MINUTE == 0 for start in starts)
    assert summary(in_steps(series.rows(at_level("model"), 0, 2**40), 86_400)[0])["latency"]["p50"] is not None


def test_what_is_older_than_hours_is_forgotten():
    series, _ = filled(120)
    series.age(BEGIN + FINE + COARSE + 300)
    assert counted(series) == 0


def test_a_row_that_is_told_again_counts_once():
    series = RowSeries()
    engine = Engine()
    series.put(engine.feed("gw-0", [line(BEGIN), line(BEGIN + 15)]))
    series.put(engine.feed("gw-0", [line(BEGIN + 1)]))
    series.put(engine.end("gw-0"))
    assert counted(series) == 3
    again = Engine()
    series.put([*again.feed("gw-0", [line(BEGIN)]), *again.end("gw-0")])
    assert counted(series) == 3, "a collector that has read less takes nothing back"


def test_a_row_that_comes_when_its_minute_is_made_changes_nothing_and_is_counted():
    series, asked = filled(120)
    series.age(BEGIN + 120 + FINE + 2 * MINUTE)
    other = Engine()
    other.feed("gw-9", [line(BEGIN + second) for second in range(5)])
    series.put(other.end("gw-9"))
    series.age(BEGIN + 240 + FINE + 2 * MINUTE)
    assert counted(series) == asked and series.too_old > 0


def test_the_streams_of_a_container_are_put_together_apart():
    whole = line(BEGIN)
    text = b"t stdout P " + whole[:50] + b"\nt stderr F [warning]\nt stdout F " + whole[50:] + b"\nt stdout P " + whole
    engine = Engine()
    for batch in batches(io.BytesIO(text)):
        engine.feed("file", batch)
    assert (engine.counts.counted, engine.counts.foreign) == (2, 1)


def test_steps_add_up_over_sources_and_time():
    series, asked = filled(60)
    found = in_steps(series.rows(at_level("model"), BEGIN, BEGIN + 60), 20)
    assert [row.requests for row in found] == [40, 40, 40] and sum(row.requests for row in found) == asked


def test_a_summary_tells_refused_from_failed():
    engine = Engine()
    kinds = [{}, LIMITED, {"status": 404}, {"status": 429}, {"status": 503, "flags": "UH", "details": "no_healthy"}]
    engine.feed("gw-0", [line(BEGIN, **kind) for kind in kinds])
    (row,) = [row for row in engine.end("gw-0") if row.key.place == MODEL]
    found = summary(row)
    assert {name: found[name] for name in ("demand", "admitted", "limited", "clientErrors", "serverErrors")} == {
        "demand": 5,
        "admitted": 4,
        "limited": 1,
        "clientErrors": 2,
        "serverErrors": 1,
    }


def test_lines_of_a_container_runtime_are_freed_of_its_head_and_put_together():
    whole = line(BEGIN)
    text = b"2026-11-29T15:26:40.1Z stdout P " + whole[:50] + b"\n2026-11-29T15:26:40.2Z stdout F " + whole[50:] + b"\n"
    text += whole + b"\n" + b"2026-11-29T15:26:40.2Z stderr F [warning] words of Envoy\n" + whole
    engine = Engine()
    for batch in batches(io.BytesIO(text)):
        engine.feed("file", batch)
    assert (engine.counts.counted, engine.counts.foreign, engine.counts.read) == (3, 1, 4)


def test_a_line_without_end_takes_little_memory_and_costs_itself_only():
    text = b"{" + b"x" * (10 * LINE_MAX) + b"\n" + line(BEGIN) + b"\n"
    engine = Engine()
    read = [text for batch in batches(io.BytesIO(text)) for text in batch]
    engine.feed("file", read)
    assert max(map(len, read)) <= LINE_MAX
    assert (engine.counts.counted, engine.counts.unparsable) == (1, 1)


@given(st.lists(st.binary(max_size=30).map(lambda text: text.replace(b"\n", b"")), max_size=20), st.data())
def test_lines_are_the_same_however_a_stream_is_cut(lines: list[bytes], data: st.DataObject):
    text = b"".join(b"{" + line + b"\n" for line in lines)
    splitter, found = LineSplitter(), []
    while text:
        size = data.draw(st.integers(1, len(text)))
        found += splitter.feed(text[:size])
        text = text[size:]
    assert found + splitter.rest() == [b"{" + line for line in lines]


@given(st.sets(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=6), st.text("xyz", max_size=8))
def test_only_the_pods_of_a_collector_that_goes_change_hands(collectors: set[str], pod: str):
    reader = reader_of(pod, collectors)
    assert reader in collectors
    for gone in collectors - {reader}:
        assert reader_of(pod, collectors - {gone}) == reader
    assert reader_of(pod, []) is None


def test_pods_are_shared_about_evenly():
    collectors = ["collector-0", "collector-1", "collector-2"]
    counts = Counter(reader_of(f"gateway-{number}", collectors) for number in range(3000))
    assert all(850 < count < 1150 for count in counts.values()), counts
