"""Merge patches: nothing stays of what is left out."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.kube.merge_patch import merged_patch, patch_between

names = st.sampled_from(["limit", "enforcedPercent", "observed", "versions", "a"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
statuses = st.dictionaries(names, values, max_size=4)


def stored(value):
    """Return a value as an API server keeps it: without null."""
    if not isinstance(value, dict):
        return value
    return {name: stored(inner) for name, inner in value.items() if inner is not None}


@given(st.lists(statuses, min_size=1, max_size=5))
def test_after_any_sequence_of_statuses_the_last_one_is_what_is_there(sequence):
    found = reduce(lambda live, status: merged_patch(live, patch_between(live, status)), sequence, {})
    assert found == stored(sequence[-1])


def test_a_key_that_no_longer_holds_is_gone_also_inside():
    before = {"limit": {"total": 30, "enforcedPercent": 0, "observed": {"refused": 3}}, "warmup": {"mode": "gate"}}
    patch = patch_between(before, {"limit": {"total": 30}})
    assert patch == {"limit": {"total": 30, "enforcedPercent": None, "observed": None}, "warmup": None}
