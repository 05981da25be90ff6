"""What charts show of counts, and of the changes of a limit."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.console.pages.figures import CountedSpan, chart_spans, series, step_line, sum_of
from k8s_manager.console.pages.page_window import LINES, window


def row(second: int, demand: int = 0, limited: int = 0, p99: float | None = None) -> dict:
    start = datetime.fromtimestamp(second, UTC).isoformat()
    latency = {"p50": None, "p95": None, "p99": p99}
    counts = {"demand": demand, "admitted": demand - limited, "limited": limited, "serverErrors": 0}
    return {"start": start, **counts, "latency": latency}


def test_rates_are_counts_over_the_step_and_a_step_without_requests_is_a_zero():
    minutes = CountedSpan(600, 720, 60, [row(600, 120, 60, 7.5)])
    tens = CountedSpan(720, 740, 10, [row(730, 50)])
    found = series([minutes, tens], {"limit": [(0.0, 2.0), (725.0, 5.0)]})
    assert found["time"] == [600, 660, 720, 730]
    assert found["demand"] == [2.0, 0, 0, 5.0] and found["limited"] == [1.0, 0, 0, 0]
    assert found["limit"] == [2.0, 2.0, 5.0, 5.0] and found["p99"] == [7.5, None, None, None]


@given(st.floats(1e9, 2e9), st.sampled_from(["15m", "1h", "6h", "7d", "nonsense"]))
def test_spans_of_a_chart_join_and_reach_now(now: float, name: str):
    spans = chart_spans(now, name)
    for (_, end, _), (start, _, _) in pairwise(spans):
        assert end == start
    assert all(start % step == 0 and start < end for start, end, step in spans)
    assert spans[-1][1] > now >= spans[-1][1] - spans[-1][2]
    assert spans[-1][1] - spans[0][0] >= {"1h": 3600, "6h": 21_600, "7d": 604_800}.get(name, 900)


def test_a_limit_is_drawn_from_its_changes_or_as_it_is():
    change = {"type": "limit", "time": "1970-01-01T00:10:00+00:00", "details": {"total": 40.0}}
    other = {"type": "replicas", "time": "1970-01-01T00:10:00+00:00", "details": {}}
    assert step_line([other, change], "limit", "total", 60.0) == [(600.0, 40.0)]
    assert step_line([other], "limit", "total", 60.0) == [(0.0, 60.0)] and step_line([], "limit", "total", None) == []


def test_a_sum_has_the_largest_p99():
    found = sum_of([row(0, 60, 6, 10.0), row(60, 60, 0, 30.0), row(120)], 120)
    assert (found.demand, found.limited, found.rate, found.p99) == (120, 6, 1.0, 30.0)
    assert sum_of([], 60).p99 is None


@given(st.integers(0, 500), st.text(max_size=12))
def test_any_page_of_a_list_is_one_that_there_is(count: int, number: str):
    found = window(range(count), number)
    assert 1 <= found.number <= found.pages and found.total == count
    assert len(found.items) == min(LINES, max(0, count - (found.number - 1) * LINES))
