"""Whether a release may take its next step: windows, freezes, and quiet hours that are chosen once and kept."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from istio_templates.documents.rollouts.release_time import LowTraffic, ReleaseFreeze, RolloutWindow
from k8s_manager.release.decision.rules import ReleaseRules
from k8s_manager.release.decision.state import ReleasePhase, ReleaseState
from k8s_manager.release.quiet_hours import ModelLoad, step_permission
from k8s_manager.release.release_times import release_times
from k8s_manager.release.status_record import state_of, status_of
from tests.k8s_manager.release.windows.load import NOW, day_and_night, history

HOUR = timedelta(hours=1)
QUIET = release_times([], [], LowTraffic())
STATE = ReleaseState("v1", "v2", ReleasePhase.PREPARING, started=NOW.timestamp())
LOAD = ModelLoad(history(day_and_night), 5.0)
NIGHT = NOW + timedelta(days=3, hours=2)
"""When the quietest hours begin."""


def chosen(load: ModelLoad = LOAD, times=QUIET, state: ReleaseState = STATE, now: datetime = NOW) -> ReleaseState:
    return replace(state, window=step_permission(times, state, load, now).window)


def test_the_quietest_hours_are_chosen_and_waited_for():
    found = step_permission(QUIET, STATE, LOAD, NOW)
    assert "The window begins on Thu 2026-06-04 02:00 (UTC); wait for it." in found.hindrance and found.is_over
    assert found.window is not None and "the weekly peak of 100" in found.window.message.replace(
        "of the weekly", "the weekly"
    )
    assert (found.window.start, found.window.end) == (NIGHT.timestamp(), (NIGHT + 2 * HOUR).timestamp())


def test_in_its_hours_a_step_may_begin_and_the_choice_stays():
    state = chosen()
    later = history(day_and_night, now=NIGHT + HOUR)
    found = step_permission(QUIET, state, ModelLoad(later, 5.0), NIGHT + HOUR)
    assert (found.hindrance, found.window, found.is_over) == ("", state.window, False)


@pytest.mark.parametrize(
    ("rate", "said"), [(50.0, "above 30% of the weekly peak"), (None, "statistics of the last five")]
)
def test_no_step_begins_while_there_are_more_requests_than_usual_then(rate, said):
    found = step_permission(QUIET, chosen(), replace(LOAD, rate=rate), NIGHT + HOUR)
    assert said in found.hindrance and not found.is_over


def test_after_its_hours_the_next_ones_are_chosen_within_the_delay():
    state, after = chosen(), NIGHT + 2 * HOUR
    found = step_permission(QUIET, state, ModelLoad(history(day_and_night, now=after), 5.0), after)
    assert found.is_over and found.window is not None and (found.window.start or 0) >= after.timestamp()
    late = NOW + timedelta(days=8)
    found = step_permission(QUIET, state, ModelLoad(history(day_and_night, now=late), 5.0), late)
    assert "it has waited as long as it may; retry it, or raise maxDelay" in found.hindrance
    assert found.window is not None and found.window.start is None and found.is_over


def test_where_no_hours_come_they_are_not_looked_for_at_each_look():
    busy = ModelLoad(history(lambda local: 100.0 if 8 <= local.hour < 20 else 40.0), 5.0)
    found = step_permission(QUIET, STATE, busy, NOW)
    assert "raise the share to that, choose cron windows, or release by hand" in found.hindrance
    again = step_permission(QUIET, replace(STATE, window=found.window), ModelLoad(), NOW + HOUR / 2)
    assert again.hindrance == found.hindrance


def test_while_the_weeks_are_read_nothing_begins_and_a_flaw_is_said():
    assert "are being read; wait" in step_permission(QUIET, STATE, ModelLoad(), NOW).hindrance
    flawed = ModelLoad(flaw="1 of 2 collectors do not answer; look at the collectors")
    found = step_permission(QUIET, STATE, flawed, NOW)
    assert "1 of 2 collectors do not answer" in found.hindrance and found.window is None


def test_with_too_little_history_windows_are_gone_by_or_it_runs_at_once():
    short = ModelLoad(history(day_and_night, days=3), None)
    at_once = step_permission(QUIET, STATE, short, NOW)
    assert at_once.hindrance == "" and at_once.window is not None
    assert "without regard to the load, since statistics reach back 3.0 days" in at_once.window.message
    nights = RolloutWindow(cron="0 3 * * *", length="2h")
    found = step_permission(release_times([nights], [], LowTraffic()), STATE, short, NOW)
    assert "Mon 2026-06-01 03:00" in found.hindrance


def test_a_freeze_wins_over_quiet_hours():
    frozen = release_times(
        [], [ReleaseFreeze(name="june", start="2026-06-04T00:00:00Z", end="2026-06-05T00:00:00Z")], LowTraffic()
    )
    found = step_permission(frozen, STATE, LOAD, NOW)
    assert found.window is not None and found.window.start != NIGHT.timestamp()
    assert "Freeze june is in force" in step_permission(frozen, chosen(), LOAD, NIGHT + HOUR).hindrance


def test_without_low_traffic_windows_decide_alone():
    nights = release_times([RolloutWindow(cron="0 3 * * *", length="2h")], [])
    closed = step_permission(nights, STATE, ModelLoad(), NOW)
    assert "No window of the rollout is open" in closed.hindrance and closed.is_over and closed.window is None
    assert step_permission(nights, STATE, ModelLoad(), NOW + 4 * HOUR).hindrance == ""
    june = ReleaseFreeze(name="june", start="2026-06-01T00:00:00Z", end="2026-06-05T00:00:00Z")
    frozen = step_permission(release_times([], [june]), STATE, ModelLoad(), NOW)
    assert "Freeze june" in frozen.hindrance and not frozen.is_over


def test_the_chosen_hours_stand_in_the_status_as_long_as_the_release():
    state, rules = chosen(), ReleaseRules()
    assert status_of(state, rules)["window"]["start"] == "2026-06-04T02:00:00.000Z"
    read = state_of(status_of(state, rules))
    assert read is not None and read.window == state.window
    none = replace(state, window=replace(state.window, start=None)) if state.window else state
    read = state_of(status_of(none, rules))
    assert read is not None and read.window == none.window
    assert "window" not in status_of(replace(state, phase=ReleasePhase.DONE), rules)
