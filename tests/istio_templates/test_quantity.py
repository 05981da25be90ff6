"""Kubernetes' quantities, and texts that only look like one."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.quantity import quantity


@pytest.mark.parametrize(
    "text, figure",
    [
        ("100m", Fraction(1, 10)),
        ("1Gi", 2**30),
        ("2e3", 2000),
        (".5", Fraction(1, 2)),
        ("1.", 1),
        ("3n", Fraction(3, 10**9)),
        ("5u", Fraction(5, 10**6)),
        ("1P", 10**15),
        ("2E", 2 * 10**18),
        ("1Ei", 2**60),
        ("12E2", 1200),
        (4, 4),
        (0.25, Fraction(1, 4)),
    ],
)
def test_a_quantity_has_its_figure(text, figure):
    assert quantity(text) == figure


@pytest.mark.parametrize("text", ["", ".", "1.2.3", "1 Gi", "Gi", "0x10", "3e", None, True, [], "1k2"])
def test_what_is_no_quantity_has_none(text):
    assert quantity(text) is None


@pytest.mark.parametrize("text", ["3e99999999", "1" * 10_000, "0." + "1" * 10_000, "70136e66666", 10**400])
def test_more_than_any_quantity_is_none_and_costs_nothing(text):
    assert quantity(text) is None


@given(st.from_regex(r"[0-9a-f]{16}", fullmatch=True))
def test_a_hash_is_no_figure_of_many_digits(text):
    assert (quantity(text) or 0) < 10**130
