from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimiter.slots import QUIET, RESTLESS, slot_of

names = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)


@given(namespace=names, model=names, restless=st.booleans())
def test_a_model_is_always_in_the_same_shared_slot_of_its_kind(namespace, model, restless):
    slot_of.cache_clear()
    first = slot_of(namespace, model, restless)
    slot_of.cache_clear()
    assert slot_of(namespace, model, restless) == first
    assert first in (RESTLESS if restless else QUIET)


@pytest.mark.parametrize("restless, slots", [(False, QUIET), (True, RESTLESS)])
def test_models_spread_evenly_over_the_shared_slots(restless, slots):
    counts = Counter(slot_of("tenant", f"model-{number}", restless) for number in range(3000))
    expected = 3000 / len(slots)
    assert counts.keys() == set(slots)
    assert all(abs(count - expected) < expected * 0.25 for count in counts.values())
