from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimiter.evidence import HOUR, Window
from ratelimiter.modes import Evidence, PromotionCriteria, Stage, begun, held_back, passes, stage

VERDICT = PromotionCriteria(Fraction(1, 100), 600)
ENOUGH = Evidence(refused=1, requests=100, over=600)


@pytest.mark.parametrize(
    "mode, live, share",
    [
        ("shadow", None, 0),
        ("shadow", 100, 0),
        ("enforce", None, 100),
        ("enforce", 0, 100),
        ("ramp", None, 5),
        ("ramp", 0, 5),
        ("ramp", 100, 100),  # what is enforced already stays so
    ],
)
def test_a_mode_begins_with_its_share(mode, live, share):
    assert stage(mode, live, 50.0, 600, 50.0).enforced == share


def test_a_ramp_has_twenty_steps_and_says_when_the_next_is_due():
    shares = [stage("ramp", 5, 0.0, 200, float(second)).enforced for second in range(0, 210, 10)]
    assert shares == [*range(5, 101, 5), 100]
    assert stage("ramp", 5, 0.0, 200, 12.0) == Stage(10, next_at=20.0)
    assert stage("ramp", 95, 0.0, 200, 1e6) == Stage(100)


@given(st.floats(0, 1e6), st.floats(1, 1e5), st.floats(0, 1))
def test_a_ramp_goes_on_where_its_slot_says_it_was(now, over, part):
    before = stage("ramp", 5, now - part * over, over, now)
    again = stage("ramp", before.enforced, begun(before.enforced, over, now), over, now)
    assert again.enforced == before.enforced


@given(st.floats(1, 1e5), st.lists(st.floats(0, 1e4), max_size=20))
def test_a_ramp_never_goes_back_and_ends(over, pauses):
    now, share = 0.0, 0
    for pause in [*pauses, over]:
        now += pause
        after = stage("ramp", share or None, 0.0, over, now).enforced
        assert share <= after <= 100
        share = after
    assert share == 100


@pytest.mark.parametrize(
    "evidence, passed",
    [
        (None, False),
        (Evidence(), False),
        (Evidence(0, 0, 3600), False),  # nothing came: nothing is shown
        (ENOUGH, True),
        (Evidence(2, 100, 600), False),
        (Evidence(1, 100, 599), False),
    ],
)
def test_a_verdict_needs_time_requests_and_few_refusals(evidence, passed):
    assert passes(VERDICT, evidence) is passed
    held = held_back(Stage(100), 0, VERDICT, evidence)
    assert held == (Stage(100) if passed else Stage(0, awaits=True))


@pytest.mark.parametrize("live, verdict", [(None, VERDICT), (5, VERDICT), (100, VERDICT), (0, None)])
def test_only_a_limit_in_shadow_waits_for_its_verdict(live, verdict):
    assert held_back(Stage(100), live, verdict, None) == Stage(100)


def test_a_window_shows_the_last_hour():
    window, now = Window(), 90.0
    for _ in range(3 * 720):  # three hours, every five seconds
        window, now = window.add(1, 10, now - 5, now), now + 5
    shown = window.evidence(now - 5)
    assert HOUR <= shown.over <= HOUR + 60
    assert shown.refused == pytest.approx(shown.over / 5, abs=2) and shown.requests == 10 * shown.refused
    assert len(window.minutes) <= 61


def test_a_young_window_says_how_young_it_is():
    window = Window().add(3, 5, 100.0, 105.0).add(0, 5, 105.0, 190.0)
    assert window.evidence(190.0) == Evidence(3, 10, 90.0)


def test_refusals_are_requests_too():
    assert Window().add(4, 3, 0.0, 5.0).evidence(5.0).requests == 4


def test_what_was_not_read_was_not_seen():
    window = Window().add(0, 5, 0.0, 5.0).add(0, 6, 600.0, 605.0)
    assert window.evidence(605.0) == Evidence(0, 11, 10.0)


def test_a_verdict_is_about_its_own_minutes():
    window, now = Window(), 0.0
    while now < 3600:
        now += 5
        window = window.add(6 if now > 3000 else 0, 100, now - 5, now)
    assert passes(VERDICT, window.evidence(3600.0)) is True
    assert passes(VERDICT, window.evidence(3600.0, VERDICT.over)) is False


def test_seconds_that_two_gateways_count_are_one():
    window = Window().add(1, 5, 0.0, 5.0).add(1, 5, 0.0, 5.0).add(0, 5, 4.0, 10.0)
    assert window.evidence(10.0) == Evidence(2, 15, 10.0)
