from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimiter.capacity import LimitBounds, VersionLoad
from ratelimiter.debounce import DebounceWindow, Rules
from ratelimiter.overrides import (
    AT_ONCE,
    Override,
    OverrideScope,
    at_once,
    lifts,
    loads_under,
    next_end,
    overruled,
    strongest,
    total_under,
)
from ratelimiter.target import Terms, total

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
RULES = Rules(DebounceWindow(0.2, 1), DebounceWindow(5, 30))
BOUNDS = LimitBounds(Fraction(1), Fraction(100))
TERMS = Terms("search", "ranker", "search", "id", ("shared",), BOUNDS, Fraction(1, 10), RULES, "hold", "hold")
LOADS = (VersionLoad("v1", 2, Fraction(20), Fraction(1)),)


def override(name="o", minutes=60, **given):
    target = given.pop("target", OverrideScope())
    return Override(name, "anna", "incident 4711", NOW + timedelta(minutes=minutes), target, **given)


def limit(given, loads=LOADS, fresh=True, held=Fraction(40)):
    loads = loads_under(given, loads)
    return total_under(given, TERMS, total(TERMS, loads, fresh, held), held)


@pytest.mark.parametrize(
    "target, meant",
    [
        (OverrideScope(), True),
        (OverrideScope(tenant="search"), True),
        (OverrideScope(tenant="ads"), False),
        (OverrideScope(tenant="search", model="ranker"), True),
        (OverrideScope(model="other"), False),
        (OverrideScope(gateway="shared"), True),
        (OverrideScope(gateway="other"), False),
        (OverrideScope(labels=frozenset({("tier", "gold")})), True),
        (OverrideScope(labels=frozenset({("tier", "gold"), ("stage", "prod")})), False),
    ],
)
def test_a_target_means_the_models_of_which_all_of_it_is_true(target, meant):
    assert target.matches(TERMS, {"tier": "gold"}) is meant


def test_the_kill_switch_is_stronger_than_a_freeze_and_a_freeze_than_a_figure():
    figure = override("a", total=Fraction(10), target=OverrideScope(tenant="search", model="ranker"))
    freeze, unlimited, floor = (override(name, action=name) for name in ("freeze", "unlimited", "floor"))
    assert strongest([figure, freeze], NOW) is freeze
    assert strongest([figure, freeze, unlimited], NOW) is unlimited
    assert strongest([figure, freeze, unlimited, floor], NOW) is floor


def test_an_operators_figure_is_stronger_than_the_tenants_own_and_the_closer_one_than_the_wider():
    own = override(
        "a",
        total=Fraction(10),
        target=OverrideScope("search", "ranker"),
        range_=LimitBounds(Fraction(1), Fraction(50)),
    )
    wide, close = (
        override("b", total=Fraction(20)),
        override("c", total=Fraction(30), target=OverrideScope(model="ranker")),
    )
    assert strongest([own, wide], NOW) is wide
    assert strongest([own, wide, close], NOW) is close


@given(st.lists(st.integers(-500, 500), max_size=10), st.integers(-600, 600))
def test_an_override_always_ends(ends, minute):
    now = NOW + timedelta(minutes=minute)
    found = [override(f"o{number}", end, total=Fraction(number + 1)) for number, end in enumerate(ends)]
    holding = strongest(found, now)
    assert (holding is not None) == any(end > minute for end in ends)
    assert holding is None or now < holding.expires
    end = next_end(found, now)
    assert (end is None) == (holding is None)
    assert strongest(found, max((o.expires for o in found), default=now)) is None


def test_a_total_stands_whatever_the_replicas_do():
    given = override(total=Fraction(500))
    assert limit(given).value == 500
    assert limit(given, (replace(LOADS[0], replicas=0),)).value == 500
    assert limit(given, fresh=False).value == 500
    assert limit(given).reason == "Override"


def test_a_rate_per_replica_follows_the_replicas_and_stays_between_floor_and_ceiling():
    given = override(per_replica=Fraction(30))
    assert limit(given).value == 60
    assert limit(given, (replace(LOADS[0], replicas=9),)).value == 100


def test_a_freeze_keeps_what_is_in_force():
    assert limit(override(action="freeze"), (replace(LOADS[0], replicas=9),)).value == 40


def test_a_freeze_of_what_was_never_in_force_begins_with_what_the_replicas_can_serve():
    assert limit(override(action="freeze"), held=None).value == 40


def test_the_floor_is_the_floor():
    assert limit(override(action="floor")).value == 1


def test_a_model_that_is_closed_stays_closed():
    terms = replace(TERMS, cold="closed")
    cold = total(terms, (replace(LOADS[0], replicas=0),), True, None)
    assert total_under(override(total=Fraction(9)), terms, cold, None).closed


@given(st.integers(0, 50), st.fractions(min_value=1, max_value=1000))
def test_what_a_tenants_own_people_set_stays_in_their_range(replicas, rate):
    own = LimitBounds(Fraction(10), Fraction(50))
    given = override(per_replica=rate, range_=own)
    assert 10 <= limit(given, (replace(LOADS[0], replicas=replicas),)).value <= 50


@pytest.mark.parametrize(
    "given, off, lifted",
    [
        (None, False, False),
        (None, True, True),
        (override(action="unlimited"), False, True),
        (override(mode="off"), False, True),
        (override(mode="enforce"), True, False),
        (override(total=Fraction(9)), True, True),
        (override(action="floor"), False, False),
    ],
)
def test_only_the_document_a_mode_or_the_kill_switch_lift_a_limit(given, off, lifted):
    assert lifts(given, replace(TERMS, mode="off" if off else "enforce")) is lifted


def test_the_first_write_under_an_override_waits_for_no_debounce():
    assert at_once(TERMS).rules == AT_ONCE
    assert at_once(TERMS).bounds == BOUNDS


def test_what_moves_a_figure_of_an_override_is_known():
    capped = limit(override(per_replica=Fraction(80)))
    assert (capped.value, capped.cap.by, capped.cap.asked) == (100, "Ceiling", 160)
    raised = limit(override(per_replica=Fraction(1, 10)))
    assert (raised.value, raised.cap.by, raised.cap.asked) == (1, "Floor", Fraction(1, 5))
    own = override(per_replica=Fraction(80), range_=LimitBounds(Fraction(1), Fraction(50)))
    assert (limit(own).value, limit(own).cap.by, limit(own).cap.asked) == (50, "Range", 160)
    assert limit(override(total=Fraction(500))).cap is None


@given(st.lists(st.integers(-500, 500), max_size=10))
def test_every_override_that_has_not_ended_is_in_force_or_overruled(ends):
    found = [override(f"o{number}", end, total=Fraction(number + 1)) for number, end in enumerate(ends)]
    first, rest = strongest(found, NOW), overruled(found, NOW)
    assert {o.name for o in (*rest, *([first] if first else []))} == {o.name for o in found if o.expires > NOW}
    assert first is None or first not in rest
