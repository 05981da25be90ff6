import pytest

from collectors.counters import Counts, increase, parse

# As Envoy 1.40 shows them; Istio's bootstrap may leave the prefix in the name.
LABELLED = """\
# TYPE envoy_http_local_rate_limit_enabled counter
envoy_http_local_rate_limit_enabled{envoy_local_http_ratelimit_prefix="tidegate_slot_00"} 12
envoy_http_local_rate_limit_enforced{envoy_local_http_ratelimit_prefix="tidegate_slot_00"} 3
envoy_http_local_rate_limit_ok{envoy_local_http_ratelimit_prefix="tidegate_slot_00"} 8
envoy_http_local_rate_limit_rate_limited{envoy_local_http_ratelimit_prefix="tidegate_slot_00"} 4
envoy_http_local_rate_limit_enabled{envoy_local_http_ratelimit_prefix="somebody_else"} 99
"""
NAMED = """\
envoy_tidegate_slot_11_http_local_rate_limit_enabled{} 7
envoy_tidegate_slot_11_http_local_rate_limit_rate_limited{} 2
"""


@pytest.mark.parametrize(
    "text, counts",
    [
        (LABELLED, {0: Counts(12, 4, 3)}),
        (NAMED, {11: Counts(7, 2, 0)}),
        ("", {}),
        ('envoy_http_local_rate_limit_enabled{envoy_local_http_ratelimit_prefix="tidegate_slot_00"} NaN\n', {}),
        ("<html>502</html>", {}),
    ],
)
def test_what_each_slot_has_counted_is_read_and_all_else_is_left_out(text, counts):
    assert parse(text) == counts


def test_a_counter_that_fell_has_begun_anew():
    assert increase(Counts(10, 5, 5), Counts(12, 3, 5)) == Counts(2, 3, 0)
