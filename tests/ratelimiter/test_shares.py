from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimiter.shares import LONGEST_INTERVAL, share

rates = st.fractions(min_value=Fraction(1, 100), max_value=2_000, max_denominator=100_000)
writable = st.fractions(min_value=Fraction(1, 100), max_value=10_000, max_denominator=100)


@given(total=writable, gateways=st.integers(1, 64))
def test_the_pods_together_admit_exactly_the_total(total, gateways):
    assert gateways * share(total, gateways, burst=Fraction(1, 10)).rate == total


@given(total=rates, gateways=st.integers(1, 64))
def test_the_pods_together_never_admit_more_than_the_total(total, gateways):
    assert gateways * share(total, gateways, burst=Fraction(1, 10)).rate <= total


@given(total=rates, gateways=st.integers(1, 64))
def test_rounding_costs_less_than_a_request_in_a_week(total, gateways):
    assert total / gateways - share(total, gateways, burst=Fraction(1, 10)).rate < Fraction(1, 600_000)


@given(total=rates, gateways=st.integers(1, 64))
def test_envoy_accepts_every_bucket(total, gateways):
    bucket = share(total, gateways, burst=Fraction(1, 10))
    assert min(bucket.tokens, bucket.interval) >= 1
    assert bucket.burst >= 2
    assert bucket.interval <= LONGEST_INTERVAL
    assert max(bucket.tokens, bucket.burst) < 2**32


@given(rate=st.fractions(min_value=1, max_value=1_000_000), gateways=st.integers(1, 64))
def test_no_figure_outgrows_what_envoy_takes(rate, gateways):
    bucket = share(rate, gateways, burst=Fraction(60))
    assert max(bucket.tokens, bucket.interval, bucket.burst) < 2**32
    assert gateways * bucket.rate <= rate


def test_a_third_is_written_as_tokens_per_whole_seconds():
    bucket = share(Fraction(100), 3, burst=Fraction(1, 2))
    assert (bucket.tokens, bucket.interval, bucket.burst) == (100, 3, 16)


@pytest.mark.parametrize(("total", "gateways"), [(0, 3), (-1, 3), (10, 0)])
def test_nothing_to_share_is_the_callers_decision(total, gateways):
    with pytest.raises(ValueError, match=f"{total} requests/s over {gateways}"):
        share(Fraction(total), gateways, burst=Fraction(1, 10))
