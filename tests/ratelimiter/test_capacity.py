from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ratelimiter.capacity import LimitBounds, VersionLoad, capacity, clamp

rates = st.fractions(min_value=Fraction(1, 100), max_value=10_000, max_denominator=100)
loads = st.lists(
    st.builds(
        VersionLoad,
        name=st.just("v"),
        replicas=st.integers(0, 50),
        per_replica=rates,
        share=st.integers(0, 100).map(lambda percent: Fraction(percent, 100)),
    ),
    min_size=1,
    max_size=4,
)


@given(versions=loads)
def test_no_version_gets_more_than_its_replicas_can_serve(versions):
    whole = capacity(versions)
    assert all(whole * load.share <= load.replicas * load.per_replica for load in versions)


@given(versions=loads)
def test_some_version_with_traffic_is_filled(versions):
    whole = capacity(versions)
    with_traffic = [load for load in versions if load.share > 0]
    if with_traffic:
        assert any(whole * load.share == load.replicas * load.per_replica for load in with_traffic)


def test_the_version_that_fills_up_first_decides():
    old = VersionLoad("v1", 4, Fraction(20), Fraction(9, 10))
    new = VersionLoad("v2", 1, Fraction(50), Fraction(1, 10))
    assert capacity([old, new]) == Fraction(800, 9)


def test_a_version_without_traffic_has_no_say():
    assert (
        capacity([VersionLoad("v1", 2, Fraction(20), Fraction(1)), VersionLoad("v2", 0, Fraction(20), Fraction(0))])
        == 40
    )


@given(value=rates, floor=rates, more=rates)
def test_a_clamped_limit_lies_within_its_bounds(value, floor, more):
    assert floor <= clamp(value, LimitBounds(floor, floor + more)) <= floor + more
