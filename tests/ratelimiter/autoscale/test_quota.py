from hypothesis import given
from hypothesis import strategies as st

from ratelimiter.autoscale.quota import spare_of

names = st.sampled_from(["a", "b", "c", "d"])
counts = st.integers(0, 50)


@given(st.dictionaries(names, st.tuples(counts, counts)), st.integers(-5, 100))
def test_versions_together_never_ask_for_more_than_the_room(versions, room):
    asked, replicas = ({name: pair[i] for name, pair in versions.items()} for i in (0, 1))
    given_ = spare_of(asked, replicas, room)
    assert sum(given_.values()) <= max(0, room)
    wishes = {name: max(0, asked[name] - replicas[name]) for name in versions}
    assert all(given_[name] <= wishes[name] for name in versions)
    assert sum(given_.values()) == min(max(0, room), sum(wishes.values())), "nothing is left over while one waits"


def test_a_small_wish_does_not_wait_for_a_large_one():
    assert spare_of({"large": 100, "small": 3, "content": 2}, {"large": 10, "small": 2, "content": 2}, 10) == {
        "large": 9,
        "small": 1,
        "content": 0,
    }
