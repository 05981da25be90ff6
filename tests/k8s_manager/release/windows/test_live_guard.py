"""Before every step: in its window, outside freezes, and the live load not far above what was forecast."""

from dataclasses import replace
from datetime import timedelta

import pytest

from k8s_manager.release.windows.cron_window import CronWindow
from k8s_manager.release.windows.live_guard import LiveLoad, may_progress
from k8s_manager.release.windows.next_window import next_window
from k8s_manager.release.windows.time_range import TimeRange
from k8s_manager.release.windows.window_decision import WindowDecision, WindowReason
from k8s_manager.release.windows.window_rules import Freeze, WindowRules
from tests.k8s_manager.release.windows.load import NOW, day_and_night, history

HOUR = timedelta(hours=1)
RULES = WindowRules(2 * HOUR)
WINDOW = next_window(RULES, history(day_and_night), [], NOW)
START, END = WINDOW.start or NOW, WINDOW.end or NOW
"""5 requests/s are usual in this window, at a peak of 100."""


def answer(rate: float | None, window: WindowDecision = WINDOW, at=START, freezes=(), rules=RULES) -> tuple[bool, str]:
    return may_progress(rules, window, freezes, LiveLoad(at, rate))


@pytest.mark.parametrize("rate", [0, 5, 6.25])
def test_a_rate_up_to_a_quarter_above_the_forecast_lets_a_step_begin(rate: float):
    assert answer(rate) == (True, f"{rate:g} requests/s are within the 6.25 that the forecast of 5 allows.")


def test_a_rate_beyond_that_sends_the_release_to_the_next_window():
    said = "7 requests/s are more than the 6.25 that the forecast of 5 allows; no step begins while that lasts."
    assert answer(7) == (False, said)


def test_a_rate_near_the_peak_stops_whatever_was_forecast():
    generous = replace(RULES, excess=10)
    assert answer(29, rules=generous)[0]
    ok, sentence = answer(31, rules=generous)
    assert not ok and sentence.startswith("31 requests/s are above 30% of the weekly peak, 30;")


def test_what_some_weeks_reached_stops_nothing():
    def rate(local):
        return day_and_night(local) * (1.0 if local.day % 2 else 1.6)

    window = next_window(RULES, history(rate), [], NOW)
    assert window.figures is not None and window.start is not None
    usual, high = window.figures.expected(window.start)
    assert high > 1.25 * usual and answer(high, window, window.start)[0]


def test_single_requests_at_a_time_without_any_stop_nothing():
    window = next_window(RULES, history(lambda local: 100.0 if 8 <= local.hour < 20 else 0.0), [], NOW)
    assert (
        window.start is not None and answer(1.5, window, window.start)[0] and not answer(2.5, window, window.start)[0]
    )


@pytest.mark.parametrize("rate", [None, float("nan"), float("inf"), -1])
def test_without_statistics_a_step_waits(rate: float | None):
    assert answer(rate) == (False, "The statistics of the last five minutes are missing; the release waits for them.")


def test_a_freeze_that_was_declared_after_the_window_was_chosen_stops_it():
    freeze = Freeze("incident", TimeRange(START, END))
    assert answer(5, freezes=[freeze]) == (False, "Freeze incident is in force; the release waits until it ends.")
    assert not answer(5, freezes=[Freeze("daily", CronWindow("0 2 * * *", HOUR))])[0]
    assert answer(5, freezes=[freeze], at=START - HOUR)[1].startswith("The window begins on Thu 2026-06-04 02:00 (UTC)")


def test_before_and_after_the_window_nothing_goes_on():
    assert not answer(5, at=START - timedelta(seconds=1))[0] and not answer(5, at=END)[0]
    assert answer(5, at=END - timedelta(seconds=1))[0]


def test_a_static_window_does_not_look_at_the_load():
    window = WindowDecision(START, END, WindowReason.STATIC, "")
    assert answer(None, window)[0] and answer(1e9, window)[0]


def test_without_a_window_the_reason_is_said_again():
    assert answer(5, WindowDecision(None, None, WindowReason.FROZEN, "No window.")) == (False, "No window.")
