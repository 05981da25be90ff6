"""Cron windows by local clocks, on ordinary days and on those when clocks change."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.text.time_zone import zone_of
from k8s_manager.release.windows.cron_window import CronWindow
from k8s_manager.release.windows.local_week import WEEK_SLOTS, moment_of, slot_of, week_slots
from k8s_manager.release.windows.time_range import TimeRange, united, without

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Africa/Casablanca",
)


def begins(window: CronWindow, day: date, days: int = 1) -> list[str]:
    first = datetime.combine(day, datetime.min.time(), ZoneInfo(window.zone))
    return [f"{span.begins:%H:%M}" for span in window.spans(first, first + days * DAY)]


@pytest.mark.parametrize(
    ("day", "utc"),
    [
        (date(2026, 3, 28), ["01:30"]),
        (date(2026, 3, 29), ["01:30"]),  # 02:30 does not exist; 03:30 of summer time is 01:30 UTC
        (date(2026, 3, 30), ["00:30"]),
        (date(2026, 10, 25), ["00:30"]),  # 02:30 comes twice
        (date(2026, 10, 26), ["01:30"]),
    ],
)
def test_a_window_begins_once_on_days_when_clocks_change(day: date, utc: list[str]):
    assert begins(CronWindow("30 2 * * *", HOUR, "Europe/Berlin"), day) == utc


def test_a_window_that_began_before_counts():
    window = CronWindow("0 22 * * 5", 56 * HOUR)
    sunday = datetime(2026, 6, 7, 12, tzinfo=UTC)
    assert window.spans(sunday, sunday + HOUR) == [TimeRange(sunday - 38 * HOUR, sunday + 18 * HOUR)]


def test_windows_that_touch_are_one():
    day = datetime(2026, 6, 7, tzinfo=UTC)
    assert CronWindow("0 * * * *", HOUR).spans(day, day + DAY) == [TimeRange(day, day + DAY)]


moments = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))
crons = st.sampled_from(["0 3 * * 0", "30 2 * * *", "*/20 1-3 * * *", "15 0 1 * *", "0 0 * 3,10 *", "59 23 31 12 *"])


@given(cron=crons, zone=st.sampled_from(ZONES), at=moments, hours=st.integers(1, 100), days=st.integers(0, 40))
def test_spans_overlap_what_is_asked_for_and_are_apart(cron, zone, at, hours, days):
    whole = TimeRange(at, at + days * DAY + HOUR)
    found = CronWindow(cron, timedelta(hours=hours), zone).spans(*whole)
    assert all(span.overlaps(whole) and span.length >= timedelta(hours=hours) for span in found)
    assert all(one.ends < other.begins for one, other in pairwise(found))


@given(zone=st.sampled_from(ZONES), at=moments, count=st.integers(1, 2500))
def test_a_slot_is_in_the_local_week_where_the_clock_shows_it(zone, at, count):
    first = slot_of(at)
    for slot, place in zip(range(first, first + count), week_slots(zone, first, count), strict=True):
        local = moment_of(slot).astimezone(zone_of(zone))
        assert place == local.weekday() * 288 + local.hour * 12 + local.minute // 5
        assert 0 <= place < WEEK_SLOTS


spans = st.lists(
    st.tuples(moments, st.integers(1, 400)).map(lambda one: TimeRange(one[0], one[0] + one[1] * HOUR)), max_size=8
)


@given(one=spans, other=spans, at=moments)
def test_what_is_left_holds_a_moment_that_only_the_first_had(one, other, at):
    points = [at, *(moment for span in (*one, *other) for moment in span)]
    left = list(without(one, other))
    for point in points:
        had = any(span.holds(point) for span in one) and not any(span.holds(point) for span in other)
        assert any(span.holds(point) for span in left) == had
    assert left == sorted(left) and united(left) == united(united(left))


windows = st.builds(
    CronWindow,
    st.sampled_from(["0 12 * * 5", "30 2 * * *", "0 */2 * * *", "0 23 * * 5", "15 3 1,15 * *", "0 0 29 2 *"]),
    st.integers(1, 31 * 24).map(lambda hours: timedelta(hours=hours)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/Chicago", "Pacific/Apia"]),
)
moments = st.datetimes(datetime(2025, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC))


@given(window=windows, moment=moments)
def test_a_window_holds_what_its_spans_hold_and_begins_next_where_they_do(window, moment):
    far = timedelta(days=40)
    assert window.holds(moment) == any(span.holds(moment) for span in window.spans(moment, moment + far))
    coming = [span.begins for span in window.spans(moment, moment + far) if span.begins > moment]
    begins = window.begin_after(moment, far)
    if coming:
        assert begins is not None and begins <= coming[0]
    if begins is not None:
        assert moment < begins <= moment + far and window.holds(begins)
