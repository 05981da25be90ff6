"""Where windows are: the quietest time of the week, cron, static ones where the load says nothing, never in a freeze."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from k8s_manager.release.windows.cron_window import CronWindow
from k8s_manager.release.windows.load_history import LoadHistory
from k8s_manager.release.windows.next_window import next_window
from k8s_manager.release.windows.time_range import TimeRange
from k8s_manager.release.windows.window_decision import WindowReason
from k8s_manager.release.windows.window_rules import Freeze, WindowRules
from tests.k8s_manager.release.windows.load import NOW, STEP, day_and_night, history

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUIET = WindowRules(2 * HOUR)
NIGHTLY = CronWindow("0 3 * * *", 3 * HOUR)
STATIC = replace(QUIET, windows=(NIGHTLY,))
THURSDAY = datetime(2026, 6, 4, 2, tzinfo=UTC)


def test_the_quietest_hours_of_the_coming_week_are_chosen_and_the_earliest_of_equals():
    found = next_window(QUIET, history(day_and_night), [], NOW)
    assert (found.start, found.end, found.reason) == (THURSDAY, THURSDAY + 2 * HOUR, WindowReason.LOW_TRAFFIC)
    assert found.sentence == (
        "The quietest time by the weeks behind is Thu 2026-06-04 02:00 to 04:00 (UTC), at most 5% of the weekly peak "
        "of 100 requests/s."
    )
    assert found.figures is not None
    assert (found.figures.peak, found.figures.most, set(found.figures.usual)) == (100, 30, {5.0})


def test_a_window_begins_before_the_delay_ends():
    found = next_window(replace(QUIET, max_delay=DAY), history(day_and_night), [], NOW)
    assert found.start is not None and found.start <= NOW + DAY and found.figures is not None
    assert set(found.figures.usual) == {10.0}


def test_the_week_is_that_of_the_tenant():
    found = next_window(replace(QUIET, zone="Asia/Kolkata"), history(day_and_night, zone="Asia/Kolkata"), [], NOW)
    assert found.start == datetime(2026, 6, 4, 2, tzinfo=ZoneInfo("Asia/Kolkata"))


@pytest.mark.parametrize("now", [datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC)])
def test_a_night_in_which_clocks_change_is_as_quiet_as_others_by_the_local_clock(now: datetime):
    """The load sinks to its least at 04:00 of Sunday by the clocks of Berlin, before and after they change."""

    def rate(local: datetime) -> float:
        return 3.5 if local.weekday() == 6 and 4 <= local.hour < 6 else day_and_night(local)

    found = next_window(replace(QUIET, zone="Europe/Berlin"), history(rate, zone="Europe/Berlin", now=now), [], now)
    assert found.start is not None
    assert (found.start.astimezone(ZoneInfo("Europe/Berlin")).strftime("%a %H:%M")) == "Sun 04:00"


@pytest.mark.parametrize("days_after", [0, 10])
def test_a_job_that_keeps_its_time_in_utc_is_avoided_when_clocks_have_changed(days_after: int):
    """It ran from 05:00 by the clocks of Chicago, and from 06:00 on after they changed; else 05:00 to 08:00 is quiet."""
    zone = ZoneInfo("America/Chicago")

    def rate(local: datetime) -> float:
        return 70.0 if local.astimezone(UTC).hour == 11 else (5.0 if 5 <= local.hour < 8 else 100.0)

    now = datetime(2026, 3, 8, 15, tzinfo=UTC) + timedelta(days=days_after)
    rules = replace(QUIET, zone="America/Chicago", length=HOUR)
    found = next_window(rules, history(rate, zone="America/Chicago", now=now), [], now)
    assert found.start is not None and found.end is not None
    assert rate(found.start.astimezone(zone)) == rate(found.end.astimezone(zone) - STEP) == 5


def test_growth_within_the_weeks_does_not_look_like_a_quiet_weekday():
    def rate(local: datetime) -> float:
        return day_and_night(local) * 1.3 ** ((local - NOW) / timedelta(days=7))

    found = next_window(QUIET, history(rate), [], NOW)
    assert found.start == THURSDAY and found.figures is not None
    assert found.figures.usual[0] == pytest.approx(5, rel=0.2), "at the level of the last week"


def test_one_restless_night_of_four_is_forgiven_and_two_are_not():
    def rate(weeks: int):
        return lambda local: (
            20.0
            if local.date() >= (NOW - timedelta(days=7 * weeks)).date() and _thursday(local)
            else day_and_night(local)
        )

    def _thursday(local: datetime) -> bool:
        return local.weekday() == 3 and 2 <= local.hour < 5

    assert next_window(QUIET, history(rate(1)), [], NOW).start == THURSDAY
    assert next_window(QUIET, history(rate(2)), [], NOW).start != THURSDAY


def test_load_that_never_sinks_far_enough_is_found_with_the_share_that_would_do():
    found = next_window(replace(QUIET, peak_share=0.04), history(day_and_night), [], NOW)
    assert (found.start, found.reason) == (None, WindowReason.NO_QUIET_TIME)
    assert found.sentence == (
        "No window begins by Mon 2026-06-08 00:00 (UTC): no 2h stay below 4% of the weekly peak, the quietest reach 5%; "
        "raise the share to that, choose cron windows, or release by hand."
    )


FROZEN = Freeze("sales", TimeRange(NOW - DAY, NOW + 30 * DAY))


@pytest.mark.parametrize("rules", [QUIET, STATIC, replace(QUIET, windows=(NIGHTLY,))])
@pytest.mark.parametrize("days", [0, 28])
def test_a_freeze_over_the_whole_delay_leaves_no_window_and_is_named(rules: WindowRules, days: int):
    found = next_window(rules, history(day_and_night, days=days), [FROZEN], NOW)
    assert (found.start, found.end, found.reason) == (None, None, WindowReason.FROZEN)
    assert "frozen by sales, Sun 2026-05-31 00:00 to Wed 2026-07-01 00:00 (UTC); end or shorten" in found.sentence


def test_a_window_is_moved_out_of_a_freeze():
    weekly = Freeze("thursdays", CronWindow("0 0 * * 4", DAY))
    found = next_window(QUIET, history(day_and_night), [weekly], NOW)
    assert found.start is not None and found.start.weekday() != 3 and found.reason is WindowReason.LOW_TRAFFIC


@pytest.mark.parametrize(
    ("past", "lack"),
    [
        (None, "statistics reach back 0.0 days and a forecast needs 14"),
        (history(day_and_night, days=13), "statistics reach back 13.0 days and a forecast needs 14"),
        (
            history(lambda local: None if local.hour < 6 else 9.0),
            "two of the weeks behind know 75% of the week and a forecast needs 80%",
        ),
        (history(lambda local: 80.0 if local.hour < 6 else 100.0), "traffic is flat, never below 70% of its peak"),
    ],
)
def test_where_the_load_says_nothing_a_static_window_serves(past: LoadHistory | None, lack: str):
    found = next_window(replace(QUIET, windows=(NIGHTLY,)), past, [], NOW)
    assert (found.start, found.reason) == (NOW + 3 * HOUR, WindowReason.STATIC)
    assert lack in found.sentence and found.figures is None and not found.is_warning


def test_without_static_windows_too_little_history_lets_a_release_run_with_a_warning():
    found = next_window(QUIET, history(day_and_night, days=3), [Freeze("now", TimeRange(NOW - DAY, NOW + HOUR))], NOW)
    assert (found.start, found.reason, found.is_warning) == (NOW + HOUR, WindowReason.TOO_LITTLE_HISTORY, True)
    assert "give static windows" in found.sentence


def test_flat_traffic_without_static_windows_takes_the_quietest_time_with_a_warning():
    found = next_window(QUIET, history(lambda local: 80.0 if 3 <= local.hour < 6 else 100.0), [], NOW)
    assert (found.start, found.reason, found.is_warning) == (NOW + 3 * HOUR, WindowReason.FLAT, True)
    assert found.figures is not None and found.figures.most is None


def test_a_model_without_load_is_flat():
    assert next_window(QUIET, history(lambda _: 0.0), [], NOW).reason is WindowReason.FLAT


def test_values_that_are_none_count_as_missing():
    broken = history(lambda local: float("nan") if local.hour < 3 else (-1.0 if local.hour < 6 else 5.0))
    assert "know 75% of the week" in next_window(replace(QUIET, windows=(NIGHTLY,)), broken, [], NOW).sentence


def test_statistics_that_ended_days_ago_are_no_history():
    old = history(day_and_night, now=NOW - 21 * DAY)
    assert "know" in next_window(replace(QUIET, windows=(NIGHTLY,)), old, [], NOW).sentence


def test_cron_windows_come_by_the_clocks_of_their_zone():
    rules = replace(STATIC, windows=(CronWindow("30 1 * * 6", 4 * HOUR, "America/New_York"),))
    found = next_window(rules, None, [], NOW)
    assert found.start == datetime(2026, 6, 6, 5, 30, tzinfo=UTC) and found.end == found.start + 4 * HOUR
    assert found.sentence.startswith("The next static window is Sat 2026-06-06 05:30 to 09:30 (UTC), chosen without")


def test_the_rest_of_a_window_that_is_open_counts_where_the_release_fits_into_it():
    assert next_window(STATIC, None, [], NOW + 3.5 * HOUR).start == NOW + 3.5 * HOUR
    assert next_window(STATIC, None, [], NOW + 4.5 * HOUR).start == NOW + 27 * HOUR


def test_what_a_freeze_leaves_of_a_cron_window_counts_where_the_release_fits_into_it():
    early = Freeze("early", TimeRange(NOW + 3 * HOUR, NOW + 4 * HOUR))
    assert next_window(STATIC, None, [early], NOW).start == NOW + 4 * HOUR
    late = Freeze("late", TimeRange(NOW + 4 * HOUR, NOW + 6 * HOUR))
    assert next_window(STATIC, None, [late], NOW).start == NOW + 27 * HOUR


def test_a_window_that_is_too_short_for_the_release_is_taken_and_said():
    found = next_window(replace(STATIC, length=5 * HOUR), None, [], NOW)
    assert found.start == NOW + 3 * HOUR
    assert "shorter than the 5h that the release is estimated to run" in found.sentence


def test_a_cron_that_does_not_come_before_the_delay_ends_is_found():
    found = next_window(replace(STATIC, windows=(CronWindow("0 0 29 2 *", HOUR),)), None, [], NOW)
    assert (found.start, found.reason) == (None, WindowReason.NO_CRON_WINDOW)
    assert "0 0 29 2 * (UTC) has no moment until then; change it, or raise maxDelay" in found.sentence


def test_the_next_window_after_one_that_was_missed_keeps_the_deadline():
    first = next_window(STATIC, None, [], NOW)
    again = next_window(STATIC, None, [], NOW + 4 * HOUR, earliest=first.end, deadline=NOW + 7 * DAY)
    assert again.start == NOW + 27 * HOUR
    late = next_window(STATIC, None, [], NOW + 8 * DAY, deadline=NOW + 7 * DAY)
    assert (late.start, late.reason) == (None, WindowReason.EXPIRED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": timedelta(0)},
        {"max_delay": timedelta(days=400)},
        {"zone": "Mars/Olympus"},
        {"zone": "../etc/passwd"},
        {"peak_share": float("nan")},
        {"excess": 0.5},
    ],
)
def test_rules_that_can_never_be_kept_are_rejected(wrong):
    with pytest.raises(ValueError, match="write"):
        replace(QUIET, **wrong)


@pytest.mark.parametrize(
    ("cron", "length", "zone"),
    [("x", HOUR, "UTC"), ("0 0 31 2 *", HOUR, "UTC"), ("0 0 * * *", -HOUR, "UTC"), ("0 0 * * *", HOUR, "")],
)
def test_a_cron_window_that_never_comes_is_rejected(cron: str, length: timedelta, zone: str):
    with pytest.raises(ValueError, match="write"):
        CronWindow(cron, length, zone)


def test_history_is_not_read_beyond_now():
    past = history(day_and_night)
    more = LoadHistory(past.begins, [*past.rates, *[1e9] * 2016])
    assert next_window(QUIET, more, [], NOW) == next_window(QUIET, past, [], NOW)
    assert next_window(QUIET, more, [], NOW + STEP / 2) == next_window(QUIET, past, [], NOW + STEP / 2)
