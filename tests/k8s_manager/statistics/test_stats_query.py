"""Spans of time that people ask for, and what collectors are asked then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.access_log.engine import text_of
from istio_templates.errors import Invalid
from k8s_manager.statistics.stats_query import MOST_POINTS, AskedSpan, time_span

NOW = 1_800_000_007.0


def test_without_a_word_it_is_the_last_quarter_of_an_hour() -> None:
    span = time_span(AskedSpan(None, None, None), NOW)
    assert (span.start, span.end, span.step) == (1_799_999_100, 1_800_000_060, 60)


@pytest.mark.parametrize("text", ["1799999000", "2027-01-15T07:43:20Z", "2027-01-15T08:43:20+01:00", "1799999000.0"])
def test_moments_are_rfc_3339_or_epoch_seconds(text: str) -> None:
    assert (
        time_span(AskedSpan(text, None, "10s"), NOW).start == time_span(AskedSpan("1799999000", None, "10s"), NOW).start
    )
    assert text_of(1_799_999_000).startswith("2027-01-15T07:43:20")


@pytest.mark.parametrize("text", ["1799999000", "2027-01-15T08:43:20 01:00"])
def test_a_plus_that_a_query_made_a_space_is_a_plus(text: str) -> None:
    assert time_span(AskedSpan(text, None, "10s"), NOW).start == 1_799_998_980


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"step": "1ms"}, "step"),
        ({"step": "15s"}, "step"),
        ({"step": "0"}, "step"),
        ({"step": "-10s"}, "step"),
        ({"step": "soon"}, "step"),
        ({"step": "9" * 400}, "step"),
        ({"step": "inf"}, "step"),
        ({"start": "yesterday"}, "from"),
        ({"start": "99999999999999"}, "from"),
        ({"end": "2026-13-01T00:00:00Z"}, "to"),
        ({"start": "1800000000", "end": "1799999000"}, "from"),
        ({"start": "1799999000", "end": "1799999000"}, "from"),
        ({"start": str(1_800_000_000 - 35 * 86_400), "step": "10s"}, "step"),
    ],
)
def test_what_cannot_be_asked_is_said_by_its_field(given: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as found:
        time_span(AskedSpan(given.get("start"), given.get("end"), given.get("step")), NOW)
    assert field in [problem.field for problem in found.value.problems]


def test_a_step_of_what_is_kept_as_minutes_is_whole_minutes() -> None:
    old = str(int(NOW) - 3600)
    assert time_span(AskedSpan(old, None, "10s"), NOW).step == 60
    assert time_span(AskedSpan(old, None, "90s"), NOW).step == 120
    assert time_span(AskedSpan(str(int(NOW) - 600), None, "90s"), NOW).step == 90


@given(st.floats(0, 2**33), st.floats(0, 2**33), st.sampled_from([None, "10s", "70s", "1m", "1h"]))
def test_every_span_is_whole_steps_and_bounded(start: float, end: float, step: str | None) -> None:
    try:
        span = time_span(AskedSpan(f"{start:.3f}", f"{end:.3f}", step), NOW)
    except Invalid:
        return
    assert span.start % span.step == span.end % span.step == 0 < span.end - span.start
    assert (span.end - span.start) // span.step <= MOST_POINTS
    query = span.query("model", NOW)
    assert query.start % span.step == 0 and span.end <= NOW + 10 + span.step


def test_a_step_over_what_only_files_keep_is_whole_five_minutes() -> None:
    old = str(int(NOW) - 7 * 3600)
    spans = {step: time_span(AskedSpan(old, None, step), NOW) for step in (None, "1m", "7m", "1h")}
    assert {step: (span.step, span.is_raised) for step, span in spans.items()} == {
        None: (900, False),
        "1m": (300, True),
        "7m": (600, False),
        "1h": (3600, False),
    }
    assert all(span.query("model", NOW).asks_files for span in spans.values())
    assert all(span.query("model", NOW).start == span.start for span in spans.values())
    assert not time_span(AskedSpan(None, None, "1m"), NOW).query("model", NOW).asks_files
