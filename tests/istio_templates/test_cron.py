"""Cron's five fields: the last moment that fits is the one that counting minutes back finds."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.text.cron import cron_times

MONDAY = datetime(2026, 11, 30, tzinfo=UTC)


def part(lowest: int, highest: int) -> st.SearchStrategy[str]:
    """Return what a field may have: star, number, range, each with a step perhaps, or a list of those."""
    numbers = st.integers(lowest, highest)
    ranges = st.tuples(numbers, numbers).map(lambda two: f"{min(two)}-{max(two)}")
    step = st.just("") | st.integers(1, highest).map("/{}".format)
    one = st.tuples(st.just("*") | ranges | numbers.map(str), step).map("".join)
    return st.just("*") | st.lists(one, min_size=1, max_size=3).map(",".join)


crons = st.tuples(part(0, 59), part(0, 23), part(1, 28), part(1, 12), part(0, 7)).map(" ".join)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2029, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


@given(crons, moments)
def test_the_last_moment_is_the_first_that_fits_on_the_way_back(cron: str, now: datetime):
    times, minute = cron_times(cron), now.replace(second=0, microsecond=0)
    back = (minute - timedelta(minutes=passed) for passed in range(24 * 60 + 1))
    slow = next((moment for moment in back if times.fits(moment)), None)
    found = times.last(now)
    assert found == slow if slow is not None else found is None or now - found > timedelta(days=1)


@pytest.mark.parametrize(
    ("cron", "fits", "fits_not"),
    [
        ("* * * * *", ["11-30 00:00", "02-28 23:59"], []),
        ("*/15 * * * *", ["11-30 08:45"], ["11-30 08:46"]),
        ("5/20 * * * *", ["11-30 08:05", "11-30 08:45"], ["11-30 08:00", "11-30 08:20"]),
        ("0 8-18/2 * * *", ["11-30 08:00", "11-30 18:00"], ["11-30 09:00", "11-30 20:00"]),
        ("0 8 * * 1-5", ["11-30 08:00", "12-04 08:00"], ["12-05 08:00", "12-06 08:00"]),
        ("0 8 * * 0", ["11-29 08:00"], ["11-30 08:00"]),
        ("0 8 * * 7", ["11-29 08:00"], ["11-30 08:00"]),
        ("0 8 * * 5-7", ["11-29 08:00", "11-27 08:00"], ["11-30 08:00"]),
        ("0 0 29 2 *", [], ["02-28 00:00"]),
        ("0 0 1 * 1", ["11-30 00:00", "12-01 00:00"], ["12-02 00:00"]),
        ("0 0 */2 * 1", ["11-09 00:00"], ["11-30 00:00", "11-11 00:00"]),
        ("0 0 30 2 1", ["02-23 00:00"], ["11-30 00:00"]),
    ],
)
def test_fields_mean_what_crontab_says(cron: str, fits: list[str], fits_not: list[str]):
    def at(text: str) -> datetime:
        return datetime.strptime(f"2026-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)

    assert [text for text in fits if not cron_times(cron).fits(at(text))] == []
    assert [text for text in fits_not if cron_times(cron).fits(at(text))] == []


def test_a_moment_of_another_zone_is_the_same_moment():
    times, there = cron_times("30 6 * * 1"), timezone(timedelta(hours=9))
    assert times.last((MONDAY + timedelta(hours=7)).astimezone(there)) == MONDAY + timedelta(hours=6, minutes=30)


@given(st.text(max_size=40) | st.lists(st.text("0123456789*/-, ", max_size=8), min_size=5, max_size=5).map(" ".join))
def test_no_text_breaks_the_reader(text: str):
    try:
        cron_times(text).last(MONDAY)
    except ValueError as error:
        assert "write" in str(error)
