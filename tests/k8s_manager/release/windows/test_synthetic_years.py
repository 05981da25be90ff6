"""Whole years: what `python -m benchmarks windows` shows of twenty kinds, of some."""

import pytest

from tests.support.load_years import KINDS, load_year
from tests.support.window_replays import YearReplay, in_a_freeze, is_near


@pytest.mark.parametrize("name", ["office hours, holidays", "grows 3 % a week", "outages"])
def test_the_chosen_start_is_near_the_best_one_more_often_than_peers_and_never_frozen(name: str):
    kind = next(kind for kind in KINDS if kind.name == name)
    replay = YearReplay(load_year(kind), weekends=True)
    weeks = list(replay.weeks())
    counted = [week for week in weeks if week.known_mean is not None]
    assert not any(in_a_freeze(replay, week.decision) for week in weeks)
    assert all((week.decision.start is None) == (week.known_mean is None) for week in weeks)
    ours, fixed, last = (
        sum(is_near(ratio) for ratio in ratios)
        for ratios in zip(*((week.ours, week.fixed, week.last_week) for week in counted), strict=True)
    )
    assert len(counted) >= 50 and ours >= 0.95 * len(counted) and ours > fixed and ours >= last
