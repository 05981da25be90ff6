"""Weights and the replicas that carry them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.release.decision.capacity import carried_weight, needed_replicas
from k8s_manager.release.decision.observation import ReleaseObservation, VersionCapacity


def seen(stable: int, new: int, own: float | None = 20, one: float | None = 20):
    versions = {"v1": VersionCapacity(stable, stable, own), "v2": VersionCapacity(new, new, one)}
    return ReleaseObservation(0, "v2", {}, versions)


@pytest.mark.parametrize(
    ("weight", "kept", "own", "one", "needed"),
    [
        (0, 10, 20, 20, 0),
        (1, 10, 20, 20, 1),
        (25, 10, 20, 20, 3),
        (100, 10, 20, 20, 10),
        (50, 10, 20, 40, 3),
        (50, 10, 20, 10, 10),
        (30, 10, None, 20, 3),
        (10, 0, 20, 20, 1),
        (50, 20, 20, 20, 10),
    ],
)
def test_the_replicas_for_a_weight(weight, kept, own, one, needed):
    assert needed_replicas(weight, "v1", "v2", kept, seen(10 if kept else 0, 0, own, one)) == needed


@pytest.mark.parametrize(
    ("stable", "new", "weight"), [(10, 0, 0), (10, 1, 10), (10, 3, 30), (10, 10, 100), (10, 20, 100), (0, 1, 100)]
)
def test_the_weight_that_replicas_carry(stable, new, weight):
    assert carried_weight("v1", "v2", seen(stable, new)) == weight


whole, rates = st.integers(1, 500), st.floats(0.1, 1000)


@given(stable=whole, weight=st.integers(1, 100), own=rates, one=rates)
def test_what_a_weight_needs_carries_it_and_one_less_does_not(stable, weight, own, one):
    needed = needed_replicas(weight, "v1", "v2", stable, seen(stable, 0, own, one))
    assert carried_weight("v1", "v2", seen(stable, needed, own, one)) >= weight
    assert needed == 1 or carried_weight("v1", "v2", seen(stable, needed - 1, own, one)) < weight
