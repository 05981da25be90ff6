from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ratelimiter.capacity import LimitBounds
from ratelimiter.debounce import DebounceWindow, Rules
from ratelimiter.target import Terms, Total, within_tenant_ceilings

RULES = Rules(DebounceWindow(0.2, 1), DebounceWindow(5, 30))
rates = st.fractions(min_value=1, max_value=1000, max_denominator=100)


def of(tenant, ceiling, models):
    """Return totals of a tenant's models from (value, weight) pairs."""
    return {
        f"{tenant}/{number}": (
            Terms(tenant, str(number), tenant, f"{tenant}/{number}", ("shared",), LimitBounds(Fraction(1)), Fraction(1, 10), RULES,
                  "hold", "hold", None if ceiling is None else Fraction(ceiling), weight=weight),
            Total(None if value is None else Fraction(value), Fraction(value or 0), "Capacity"),
        )
        for number, (value, weight) in enumerate(models)
    }  # fmt: skip


def values(totals):
    return [found.value for found in within_tenant_ceilings(totals).values()]


def test_below_the_ceiling_nothing_is_cut():
    assert values(of("a", 100, [(60, 1), (40, 3)])) == [60, 40]


def test_without_weights_all_are_scaled_alike():
    assert values(of("a", 50, [(60, None), (40, None)])) == [30, 20]


def test_with_weights_each_gets_its_share():
    assert values(of("a", 40, [(60, 3), (60, 1)])) == [30, 10]


def test_a_model_that_declares_none_weighs_one():
    assert values(of("a", 40, [(60, 3), (60, None)])) == [30, 10]


def test_what_one_does_not_need_goes_to_the_others():
    assert values(of("a", 40, [(60, 1), (5, 1), (60, 1)])) == [Fraction(35, 2), 5, Fraction(35, 2)]


def test_one_that_holds_what_it_has_takes_no_part():
    assert values(of("a", 40, [(None, 1), (60, 1)])) == [None, 40]


def test_tenants_do_not_touch_each_other():
    totals = {**of("a", 10, [(60, 1)]), **of("b", None, [(60, 1)])}
    assert values(totals) == [10, 60]


@given(rates, st.lists(st.tuples(rates, st.none() | st.integers(1, 1000)), min_size=1, max_size=12))
def test_together_they_never_exceed_the_ceiling_and_use_all_of_it_that_they_want(ceiling, models):
    found = values(of("a", ceiling, models))
    assert sum(found) == min(ceiling, sum(value for value, _ in models))
    assert all(0 < got <= wanted for got, (wanted, _) in zip(found, models, strict=True))


@given(rates, st.lists(st.tuples(rates, st.integers(1, 1000)), min_size=2, max_size=8))
def test_who_is_cut_has_at_least_its_share_by_weight(ceiling, models):
    found = values(of("a", ceiling, models))
    whole = sum(weight for _, weight in models)
    for got, (wanted, weight) in zip(found, models, strict=True):
        assert got == wanted or got >= ceiling * weight / whole


def frozen(totals, *numbers):
    """Return totals of which some are frozen."""
    names = {f"a/{number}" for number in numbers}
    return {i: (t, replace(found, reason="Frozen") if i in names else found) for i, (t, found) in totals.items()}


@given(
    held=st.lists(rates, min_size=1, max_size=3),
    others=st.lists(st.tuples(rates, st.one_of(st.none(), st.integers(1, 5))), max_size=4),
    more=rates,
    ceiling=st.fractions(min_value=1, max_value=3000, max_denominator=10),
)
def test_what_is_frozen_stays_whatever_the_others_want(held, others, more, ceiling):
    def found(values):
        models = of("a", ceiling, [(value, None) for value in held] + values)
        return within_tenant_ceilings(frozen(models, *range(len(held))))

    before, after = found(others), found([(value + more, weight) for value, weight in others])
    for number, value in enumerate(held):
        assert before[f"a/{number}"] == after[f"a/{number}"]
        assert before[f"a/{number}"].value == value or sum(held) > ceiling
    assert sum(before[f"a/{number}"].value for number in range(len(held))) <= ceiling
    assert all(found.value > 0 for found in after.values())
    floors = len(others)
    assert sum(found.value for found in after.values()) <= ceiling + floors


def test_the_others_share_what_a_freeze_leaves():
    assert values(frozen(of("a", 50, [(40, None), (30, None), (30, None)]), 0)) == [40, 5, 5]


def test_where_a_freeze_leaves_nothing_the_others_get_their_floors():
    assert values(frozen(of("a", 50, [(50, None), (30, None)]), 0)) == [50, 1]


def test_what_was_asked_for_is_known():
    found = within_tenant_ceilings(of("a", 50, [(60, None), (40, None)]))
    assert [found[f"a/{number}"].cap.asked for number in range(2)] == [60, 40]
