from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from istio_templates.facts import Bucket
from ratelimiter.simulation.bucket import TokenBucket
from ratelimiter.simulation.trace import NANOS

buckets = st.builds(Bucket, st.integers(1, 500), st.integers(1, 30), st.integers(1, 100))
gaps = st.lists(st.integers(0, NANOS // 2), min_size=1, max_size=200)


@given(buckets, gaps)
def test_never_admits_more_than_its_burst_and_what_has_flowed_in(bucket, gaps):
    model, at, admitted = TokenBucket(bucket, 0), 0, 0
    for gap in gaps:
        at += gap
        admitted += model.take(at)
        assert admitted <= bucket.burst + bucket.rate * Fraction(at, NANOS)


@given(buckets)
def test_a_full_bucket_admits_its_burst_at_once_and_no_more(bucket):
    model = TokenBucket(bucket, 0)
    assert [model.take(0) for _ in range(bucket.burst + 1)] == [True] * bucket.burst + [False]


def test_the_token_that_falls_due_at_this_very_nanosecond_is_there():
    model = TokenBucket(Bucket(37, 3, 1), 0)
    assert model.take(0)
    due = -(-3 * NANOS // 37)
    assert not model.take(due - 1)
    assert model.take(due)


def test_a_rewrite_fills_up_and_an_adjustment_does_not():
    rewritten, adjusted = TokenBucket(Bucket(10, 1, 5), 0), TokenBucket(Bucket(10, 1, 5), 0)
    for model in (rewritten, adjusted):
        assert all(model.take(0) for _ in range(5))
    rewritten.rewrite(Bucket(20, 1, 5), 0)
    adjusted.adjust(Bucket(20, 1, 5), 0)
    assert rewritten.take(0)
    assert not adjusted.take(0)
    assert adjusted.take(NANOS // 20)
