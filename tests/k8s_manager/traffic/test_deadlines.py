"""The wall clock jumps by an hour: an overlap and a drain last as long as they should, and their statuses say so."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.facts import ObjectKey
from k8s_manager.traffic.deadlines import TOLERANCE, Deadlines
from k8s_manager.world.world import Stored, World

NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def text(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def world(tenants: dict | None = None, models: dict | None = None) -> World:
    def stored(kind, status):
        return Stored(ObjectKey(kind, "", "a"), "u", 1, "", False, True, None, (), status=status)

    found = (
        tuple(stored("Tenant", status) for status in [tenants] if status),
        tuple(stored("Model", status) for status in [models] if status),
    )
    return World((), *found, {}, {}, {}, frozenset(), frozenset())


MOVE = {"gateway": "new", "moving": {"from": ["old"], "until": text(600)}}
DRAIN = {"draining": [{"version": "v0", "until": text(600)}, {"version": "v1", "until": text(30)}]}


@pytest.mark.parametrize("jump", [HOUR, -HOUR, timedelta(seconds=90)], ids=["forward", "back", "by little"])
def test_a_move_ends_when_its_overlap_has_passed_and_not_when_the_clock_says(jump):
    ends = Deadlines()
    assert ends.settled(world(MOVE), at(0), 100.0, 600) == world(MOVE)
    after = ends.settled(world(MOVE), at(60) + jump, 160.0, 600).tenants[0].status
    left = datetime.fromisoformat(after["moving"]["until"]) - (at(60) + jump)
    assert abs(left.total_seconds() - 540) <= 1
    assert (after["gateway"], after["moving"]["from"]) == ("new", ["old"])
    again = ends.settled(replace(world(MOVE), tenants=world(after).tenants), at(61) + jump, 161.0, 600)
    assert again.tenants[0].status is not None
    assert again.tenants[0].status["moving"] == after["moving"]


def test_each_version_drains_for_as_long_as_it_should():
    ends = Deadlines()
    ends.settled(world(None, DRAIN), at(0), 0.0, 600)
    found = ends.settled(world(None, DRAIN), at(20) + HOUR, 20.0, 600).models[0].status["draining"]
    left = {v["version"]: datetime.fromisoformat(v["until"]) - (at(20) + HOUR) for v in found}
    assert abs(left["v0"].total_seconds() - 580) <= 1 and abs(left["v1"].total_seconds() - 10) <= 1


def test_a_new_leader_is_bounded_by_the_overlap_where_the_clock_was_put_back():
    found = Deadlines().settled(world(MOVE), at(0) - HOUR, 5.0, 600)
    assert found.tenants[0].status["moving"]["until"] == (at(600) - HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("until", [None, 7, "soon", [], "2026-11-28T12:00:00"])
def test_what_cannot_be_read_stays_as_it_is(until):
    odd = world({"moving": {"from": ["old"], "until": until}}, {"draining": [{"version": "v0", "until": until}, 3]})
    assert Deadlines().settled(odd, at(0), 0.0, 600) is odd


def test_while_the_clocks_agree_nothing_is_made_again():
    ends, seen = Deadlines(), world(MOVE, DRAIN)
    assert all(ends.settled(seen, at(second), 50.0 + second, 600) is seen for second in range(0, 500, 7))


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(-7200, 7200)), max_size=12))
def test_whatever_the_wall_clock_does_the_same_time_is_left(steps):
    ends, until, now, skew = Deadlines(), at(1000), 0.0, 0
    ends.settle("a", until, 1000, at(0), now)
    for passed, jump in steps:
        now, skew = now + passed, skew + jump
        wall = at(now + skew)
        until = ends.settle("a", until, 1000, wall, now)
        assert abs((until - wall).total_seconds() - (1000 - now)) <= TOLERANCE + 1
