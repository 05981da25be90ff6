from hypothesis import given
from hypothesis import strategies as st

from istio_templates.envoy_filter import COUNTING
from istio_templates.facts import Bucket
from istio_templates.names import REQUESTS, identity
from ratelimiter.pins import PAIRS, assign, counter, limiter

NAMES = [identity("search", name) for name in "abcdefg"]
BUCKET = Bucket(10, 1, 2, 0)


def live(**pairs):
    """Return slots of gateway g in which models are, by the number of their pair."""
    out = {}
    for name, pair in pairs.items():
        key = identity("search", name)
        out["g", counter(pair)] = ((key.of_part(REQUESTS), COUNTING),)
        out["g", limiter(pair)] = ((key, BUCKET),)
    return out


def asking(names):
    return [(identity("search", name), ("g",)) for name in names]


def pair_of(pinned, name):
    return pinned.pairs.get(("g", identity("search", name)))


def test_who_is_in_a_pair_keeps_it_and_newcomers_take_what_is_free():
    pinned = assign(asking("acd"), live(c=0, d=2), frozenset())
    assert [pair_of(pinned, name) for name in "acd"] == [1, 0, 2]


def test_a_pair_is_free_when_its_model_no_longer_asks():
    assert pair_of(assign(asking("a"), live(b=0), frozenset()), "a") == 0


def test_who_is_kept_without_asking_keeps_its_pair():
    assert pair_of(assign(asking("a"), live(b=0), frozenset({identity("search", "b")})), "a") == 1


def test_when_all_pairs_are_taken_the_holders_are_named():
    pinned = assign(asking("abcde"), live(b=0, c=1, d=2, e=3), frozenset())
    assert pinned.holders == {identity("search", "a"): tuple(identity("search", name) for name in "bcde")}
    assert len(pinned.pairs) == PAIRS == 4


def test_a_model_that_moves_to_a_full_gateway_keeps_its_pair_in_the_other():
    models = [*asking("abcd"), (identity("search", "z"), ("g", "h"))]
    pinned = assign(models, live(a=0, b=1, c=2, d=3), frozenset())
    assert pinned.pairs["h", identity("search", "z")] == 0
    assert ("g", identity("search", "z")) not in pinned.pairs and not pinned.holders


@given(st.lists(st.sampled_from(NAMES), unique=True), st.lists(st.sampled_from(NAMES), unique=True, max_size=PAIRS))
def test_no_pair_has_two_models_and_nobody_moves(wanting, inside):
    slots = {}
    for pair, key in enumerate(inside):
        slots["g", limiter(pair)] = ((key, BUCKET),)
    pinned = assign([(key, ("g",)) for key in wanting], slots, frozenset())
    pairs = list(pinned.pairs.values())
    assert len(set(pairs)) == len(pairs) == min(len(wanting), PAIRS)
    assert all(pinned.pairs["g", key] == inside.index(key) for key in wanting if key in inside)
    assert pinned.pairs.keys().isdisjoint(("g", key) for key in pinned.holders)
