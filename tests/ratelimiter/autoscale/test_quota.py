from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ratelimiter.autoscale.quota import spare_of

names = st.sampled_from(["a", "b", "c", "d"])
counts = st.integers(0, 50)
amounts = st.integers(0, 8).map(lambda eighths: Fraction(eighths, 8))
sizes = st.fixed_dictionaries({"pods": st.just(Fraction(1)), "requests.cpu": amounts})
rooms = st.dictionaries(
    st.sampled_from(["pods", "requests.cpu", "requests.memory"]), st.integers(-5, 100).map(Fraction)
)


@given(st.dictionaries(names, st.tuples(counts, counts, sizes)), rooms)
def test_versions_together_never_ask_for_more_than_the_room(versions, room):
    asked, replicas, size = ({name: found[i] for name, found in versions.items()} for i in (0, 1, 2))
    given_ = spare_of(asked, replicas, size, room)
    wishes = {name: max(0, asked[name] - replicas[name]) for name in versions}
    assert all(0 <= given_[name] <= wishes[name] for name in versions)
    used = {name: sum(given_[version] * size[version].get(name, 0) for version in versions) for name in room}
    assert all(used[name] <= max(0, room[name]) for name in room)
    for name in versions:
        if given_[name] < wishes[name]:
            one_more = {of: used[of] + size[name].get(of, 0) for of in room}
            assert any(one_more[of] > room[of] for of in room), "nothing is left over while one waits"


def test_a_small_wish_does_not_wait_for_a_large_one():
    one = {"pods": Fraction(1)}
    asked, replicas = {"large": 100, "small": 3, "content": 2}, {"large": 10, "small": 2, "content": 2}
    given_ = spare_of(asked, replicas, dict.fromkeys(asked, one), {"pods": Fraction(10)})
    assert given_ == {"large": 9, "small": 1, "content": 0}


def test_what_the_quota_does_not_name_is_not_bounded():
    assert spare_of({"a": 9}, {"a": 1}, {"a": {"requests.cpu": Fraction(4)}}, {"limits.cpu": Fraction(0)}) == {"a": 8}
