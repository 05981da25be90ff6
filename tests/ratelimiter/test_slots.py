from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from istio_templates.names import PINNED_SLOTS, SLOTS
from ratelimiter.slots import slot_of

names = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)


@given(namespace=names, model=names)
def test_a_model_is_always_in_the_same_shared_slot(namespace, model):
    slot_of.cache_clear()
    first = slot_of(namespace, model)
    slot_of.cache_clear()
    assert slot_of(namespace, model) == first
    assert PINNED_SLOTS <= first < SLOTS


def test_models_spread_evenly_over_the_shared_slots():
    counts = Counter(slot_of("tenant", f"model-{number}") for number in range(3000))
    expected = 3000 / (SLOTS - PINNED_SLOTS)
    assert len(counts) == SLOTS - PINNED_SLOTS
    assert all(abs(count - expected) < expected * 0.25 for count in counts.values())
