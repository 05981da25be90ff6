"""Whatever the history, rules and freezes: never in a freeze, within bounds, the same again, and a sentence that says
what to do."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_manager.release.windows.cron_window import CronWindow
from k8s_manager.release.windows.live_guard import LiveLoad, may_progress
from k8s_manager.release.windows.load_history import LoadHistory
from k8s_manager.release.windows.next_window import next_window
from k8s_manager.release.windows.time_range import TimeRange
from k8s_manager.release.windows.window_rules import Freeze, WindowRules

HOUR = timedelta(hours=1)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca")
moments = st.one_of(
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31)),
    st.sampled_from(
        [datetime(2026, 3, 28, 23), datetime(2026, 10, 24, 22), datetime(2026, 3, 8, 5), datetime(2026, 4, 4, 9)]
    ),
).map(lambda moment: moment.replace(tzinfo=UTC))
cron_windows = st.builds(
    CronWindow,
    st.sampled_from(["0 3 * * *", "30 2 * * 0", "0 */6 * * *", "0 0 29 2 *", "15 1 1 * *"]),
    st.integers(1, 60).map(lambda count: count * HOUR),
    st.sampled_from(ZONES),
)


@st.composite
def histories(draw, now: datetime) -> LoadHistory | None:
    """Draw a history that ends about now: a repeated day of few different rates, some of them missing."""
    if draw(st.booleans()):
        return None
    rates = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 5.0, 80.0, 100.0, float("nan")]))
    day = draw(st.lists(rates, min_size=4, max_size=96))
    count = draw(st.sampled_from([0, 100, 14 * 288, 20 * 288, 28 * 288, 40 * 288]))
    begins = datetime.fromtimestamp(int(now.timestamp() // 300) * 300, UTC) - count * timedelta(minutes=5)
    return LoadHistory(begins, [day[at * len(day) // 288 % len(day)] for at in range(count)])


@st.composite
def searches(draw):
    now = draw(moments)
    windows = tuple(draw(st.lists(cron_windows, max_size=2)))
    rules = WindowRules(
        timedelta(minutes=draw(st.integers(5, 600))),
        windows,
        timedelta(minutes=draw(st.integers(5, 9 * 1440))),
        draw(st.sampled_from(ZONES)),
        draw(st.sampled_from([0.05, 0.3, 1.0])),
    )
    once = st.tuples(st.integers(-200, 200), st.integers(1, 300)).map(
        lambda two: TimeRange(now + two[0] * HOUR, now + (two[0] + two[1]) * HOUR)
    )
    freezes = [Freeze(f"freeze-{at}", time) for at, time in enumerate(draw(st.lists(once | cron_windows, max_size=3)))]
    return rules, draw(histories(now)), freezes, now


@settings(max_examples=150, deadline=None)
@given(searches())
def test_a_window_is_never_in_a_freeze_and_within_its_bounds(search):
    rules, past, freezes, now = search
    found = next_window(rules, past, freezes, now)
    assert found == next_window(rules, past, list(freezes), now)
    if found.start is None or found.end is None:
        assert found.start is found.end is None and found.sentence.startswith("No window begins by")
        return
    assert now <= found.start <= now + rules.max_delay and found.start < found.end
    assert not [freeze for freeze in freezes if freeze.spans(found.start, found.end)]
    if found.figures is not None:
        assert found.end - found.start == rules.length
        assert len(found.figures.usual) == len(found.figures.high) == -(-rules.length // timedelta(minutes=5))
        assert found.figures.most is None or max(found.figures.high) <= found.figures.most


@settings(max_examples=100, deadline=None)
@given(searches(), st.integers(-100, 1000), st.floats(0, 200), st.floats(0, 200))
def test_a_step_begins_only_in_the_window_outside_freezes_and_at_less_load_rather_than_at_more(
    search, minutes, one, other
):
    rules, past, freezes, now = search
    found = next_window(rules, past, [], now)
    at = (found.start or now) + timedelta(minutes=minutes)
    low, high = (may_progress(rules, found, freezes, LiveLoad(at, rate))[0] for rate in sorted((one, other)))
    assert low or not high
    if low:
        assert found.start is not None and found.end is not None and found.start <= at < found.end
        assert not any(freeze.spans(at, at + timedelta(microseconds=1)) for freeze in freezes)
