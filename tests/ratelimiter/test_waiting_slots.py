"""Slots that cannot be written now delay no others, and no limit leaves a slot before it has arrived elsewhere."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from istio_templates.facts import Bucket
from istio_templates.names import identity
from ratelimiter import controller
from ratelimiter.controller import LimitState, Observation

KEYS = [identity("search", f"m{number}") for number in range(5)]
SLOTS = [("shared", number) for number in range(10, 14)]
BUCKET = Bucket(1, 1, 2)
places = st.lists(st.integers(0, 3), min_size=5, max_size=5)


def contents(of):
    found = dict.fromkeys(SLOTS, ())
    for key, place in zip(KEYS, of, strict=True):
        found[SLOTS[place]] += ((key, BUCKET),)
    return found


@given(before=places, after=places, waiting=st.sets(st.sampled_from(SLOTS)))
def test_what_a_waiting_slot_is_to_bring_leaves_no_other(before, after, waiting):
    live, wanted = contents(before), contents(after)
    writes = {slot: limits for slot, limits in wanted.items() if slot not in waiting and limits != live[slot]}
    late = {slot: wanted[slot] for slot in waiting}
    held = controller._held(Observation(0.0, {}, frozenset(), live), writes, late)
    now = {**live, **{slot: limits for slot, limits in writes.items() if slot not in held}}
    there = {key for limits in now.values() for key, _ in limits}
    assert there == set(KEYS)


def test_a_stale_slot_that_waits_is_left_out_and_wakes_nobody():
    live = {("shared", 10): ((KEYS[0], BUCKET),), ("shared", 11): ((KEYS[1], BUCKET),)}
    seen = Observation(0.0, {}, frozenset(), live)
    both, _ = controller.decide(LimitState(), seen, 5.0)
    one, _ = controller.decide(LimitState(), seen, 5.0, frozenset({("shared", 10)}))
    none, _ = controller.decide(LimitState(), seen, 5.0, frozenset(live))
    assert both.writes.keys() == live.keys() and one.writes.keys() == {("shared", 11)}
    assert (none.writes, none.wake_at) == ({}, None)
    assert Fraction(BUCKET.rate) == 1
