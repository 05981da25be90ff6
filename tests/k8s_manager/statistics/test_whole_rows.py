"""When controllers look again at what collectors count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.access_log.rows import WINDOW
from k8s_manager.statistics.stats_query import SOON
from k8s_manager.statistics.whole_rows import READABLE, seconds_to_look, window_end


@pytest.mark.parametrize(
    ("now", "every", "after"),
    [(100.0, 10, READABLE), (109.0, 10, READABLE + 1), (100.0, 30, 20 + READABLE), (100.0, 0.3, 0.3)],
)
def test_a_look_comes_as_soon_as_a_window_can_be_read(now, every, after):
    assert seconds_to_look(now, every) == pytest.approx(after)


@given(st.floats(1e9, 3e9), st.sampled_from([10.0, 20.0, 30.0, 60.0]))
def test_looks_come_no_later_than_asked_for_and_then_see_the_window_that_ended(now, every):
    after = seconds_to_look(now, every)
    assert max(0, every - WINDOW) < after + 1e-6 <= every + 1e-5
    if after < every:
        assert now + after - window_end(now + after - SOON) == pytest.approx(READABLE, abs=1e-5)
