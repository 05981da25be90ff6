"""When steps may begin: in windows, and never in a freeze."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents.rollouts.release_time import ReleaseFreeze, RolloutWindow
from k8s_manager.release.release_times import ANY_TIME, release_times

NIGHTS = RolloutWindow(cron="0 2 * * *", length="3h", timeZone="Europe/Berlin")
YEAR_END = ReleaseFreeze(name="year-end", start="2026-12-20T00:00:00Z", end="2027-01-04T00:00:00Z")
FRIDAYS = ReleaseFreeze(name="fridays", cron="0 12 * * 5", length="60h")
LEAP_DAYS = RolloutWindow(cron="0 2 29 2 *", length="1h")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_without_windows_and_freezes_any_time_will_do():
    assert ANY_TIME.hindrance(at("2026-12-24T12:00")) == ""


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-06-10T00:00", True),  # 02:00 of summer time
        ("2026-06-10T02:59", True),
        ("2026-06-10T03:00", False),
        ("2026-06-09T23:59", False),
        ("2026-11-10T01:00", True),  # 02:00 of winter time
        ("2026-11-10T00:59", False),
    ],
)
def test_a_window_goes_by_the_clocks_of_its_zone(now, is_open):
    assert (release_times([NIGHTS], []).hindrance(at(now)) == "") is is_open


def test_it_says_when_the_next_window_opens():
    said = release_times([NIGHTS], []).hindrance(at("2026-06-10T12:00"))
    assert "No window of the rollout is open" in said and "Thu 2026-06-11 02:00 to 05:00 (Europe/Berlin)" in said


def test_a_freeze_wins_over_a_window_and_says_what_comes_behind_it():
    said = release_times([NIGHTS], [YEAR_END]).hindrance(at("2026-12-24T01:30"))
    assert "Freeze year-end is in force" in said and "2027-01-04" in said, said


def test_a_freeze_alone_says_its_end():
    said = release_times([], [FRIDAYS]).hindrance(at("2026-06-12T13:00"))
    assert "Freeze fridays is in force" in said and "Mon 2026-06-15 00:00" in said, said


def test_a_window_that_does_not_come_is_said_with_the_remedy():
    said = release_times([LEAP_DAYS], []).hindrance(at("2026-06-10T12:00"))
    assert "none will in the next 92 days, so correct rollout.windows or the freezes" in said
    always = ReleaseFreeze(name="always", start="2026-01-01T00:00:00Z", end="2036-01-01T00:00:00Z")
    assert "none will" in release_times([NIGHTS], [always]).hindrance(at("2026-06-10T00:30"))


@given(minutes=st.integers(0, 60 * 24 * 400))
def test_nothing_begins_in_a_freeze(minutes):
    now = at("2026-01-01T00:00") + timedelta(minutes=minutes)
    is_friday = (now - timedelta(hours=12)).weekday() in (4, 5) or (now.weekday() == 6)
    is_year_end = at("2026-12-20T00:00") <= now < at("2027-01-04T00:00")
    if is_friday or is_year_end:
        assert "is in force" in release_times([NIGHTS], [FRIDAYS, YEAR_END]).hindrance(now)
    else:
        assert "is in force" not in release_times([NIGHTS], [FRIDAYS, YEAR_END]).hindrance(now)
