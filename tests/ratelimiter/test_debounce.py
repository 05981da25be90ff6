from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from istio_templates.facts import Bucket
from ratelimiter.debounce import DebounceState, DebounceWindow, Rules, due_at, observe, value_at, wrote

RULES = Rules(down=DebounceWindow(0.2, 1.0), up=DebounceWindow(5.0, 30.0))


def bucket(rate: int) -> Bucket:
    return Bucket(rate, 1, 2)


def seen(start: int | None, *events: tuple[float, int]) -> DebounceState:
    state = DebounceState(None if start is None else bucket(start))
    for time, rate in events:
        state = observe(state, bucket(rate), time)
    return state


def test_the_first_limit_is_written_at_once():
    assert value_at(seen(None, (7.0, 20)), RULES, 7.0) == bucket(20)


def test_a_cut_waits_for_the_quiet_of_cuts():
    state = seen(40, (10.0, 20))
    assert due_at(state, RULES) == 10.2
    assert value_at(state, RULES, 10.19) is None
    assert value_at(state, RULES, 10.2) == bucket(20)


def test_a_raise_waits_until_the_count_was_stable():
    state = seen(40, (10.0, 60), (13.0, 80))
    assert due_at(state, RULES) == 18.0
    assert value_at(state, RULES, 18.0) == bucket(80)


def test_what_ends_where_it_began_is_not_written():
    state = seen(40, (10.0, 20), (10.1, 40))
    assert due_at(state, RULES) is None
    assert value_at(state, RULES, 1000.0) is None


def test_a_restless_cut_is_put_off_for_its_longest_only():
    state = seen(40, *((10 + number * 0.15, 20 + number % 2) for number in range(7)))
    assert due_at(state, RULES) == 11.0


def test_a_restless_raise_goes_to_the_least_that_was_there_all_the_time():
    state = seen(40, *((float(time), 60 if time % 8 else 80) for time in range(0, 31, 4)))
    assert due_at(state, RULES) == 30.0
    assert value_at(state, RULES, 30.0) == bucket(60)


def recovered(start: int, *events: tuple[float, int]) -> DebounceState:
    """Return the state after a fallback has ended with the first event."""
    (time, rate), *later = events
    state = observe(DebounceState(bucket(start)), bucket(rate), time, at_once=True)
    for time, rate in later:
        state = observe(state, bucket(rate), time)
    return state


def test_a_raise_from_a_fallback_waits_for_nothing():
    state = recovered(1, (10.0, 20))
    assert due_at(state, RULES) == 10.0
    assert value_at(state, RULES, 10.0) == bucket(20)


def test_a_second_replica_before_the_write_goes_along():
    state = recovered(1, (10.0, 20), (10.4, 40))
    assert due_at(state, RULES) == 10.0
    assert value_at(state, RULES, 10.5) == bucket(40)


def test_the_raise_after_the_one_from_a_fallback_waits_again():
    state = observe(wrote(recovered(1, (10.0, 20)), bucket(20), 10.0), bucket(40), 11.0)
    assert due_at(state, RULES) == 16.0


def test_a_cut_that_follows_a_fallback_waits_as_every_cut_does():
    assert due_at(recovered(40, (10.0, 20)), RULES) == 10.2


def test_what_moved_on_while_it_was_written_waits_anew():
    state = wrote(seen(40, (10.0, 20), (10.3, 10)), bucket(20), 10.3)
    assert state.written == bucket(20)
    assert due_at(state, RULES) == 10.5


events = st.lists(st.tuples(st.floats(0.01, 3.0), st.integers(1, 8)), min_size=1, max_size=60)


@given(steps=events)
def test_a_raise_never_comes_faster_than_the_debounce(steps):
    """Play any sequence of counts and write whatever is due: between two raises lies the quiet of raises."""
    now, state, raises = 0.0, DebounceState(bucket(4)), []
    for pause, rate in steps:
        now += pause
        state = observe(state, bucket(rate), now)
        value = value_at(state, RULES, now)
        if value is not None:
            if value.rate > state.written.rate:
                raises.append(now - state.pending.since)
            state = wrote(state, value, now)
    assert all(waited >= RULES.up.quiet for waited in raises)


@given(steps=events)
def test_a_limit_above_the_count_is_cut_within_the_longest_patience(steps):
    now, state = 0.0, DebounceState(bucket(4))
    for pause, rate in steps:
        now += pause
        state = observe(state, bucket(rate), now)
        if state.written.rate > Fraction(rate):
            assert due_at(state, RULES) <= state.pending.since + RULES.down.longest
        if (value := value_at(state, RULES, now)) is not None:
            state = wrote(state, value, now)


@given(steps=events)
def test_a_count_that_comes_to_rest_is_what_is_written_in_the_end(steps):
    now, state = 0.0, DebounceState(bucket(4))
    for pause, rate in steps:
        now += pause
        state = observe(state, bucket(rate), now)
    for _ in range(3):
        now += RULES.up.longest
        if (value := value_at(state, RULES, now)) is not None:
            state = wrote(state, value, now)
    assert state.written == bucket(steps[-1][1])
    assert state.pending is None
