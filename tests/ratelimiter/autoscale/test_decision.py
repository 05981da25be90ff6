import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimiter.autoscale.decision import (
    Hold,
    ScaleDecision,
    ScaleMemory,
    ScaleObservation,
    ScaleRules,
    decide,
)
from ratelimiter.autoscale.signals import SignalReading, SignalTarget

DEMAND = SignalTarget("demand", "demand", target=16, guard=True)
CPU = SignalTarget("cpu", "cpu", target=0.7, weight=0.5, guard=True)
GPU = SignalTarget("gpu", "gpu", target=0.8, weight=0.3)
LATENCY = SignalTarget("latency", "latency", target=0.08, weight=0.5)
EVERYTHING = (
    DEMAND,
    CPU,
    GPU,
    LATENCY,
    SignalTarget("concurrency", "concurrency", target=4, guard=True),
    SignalTarget("memory", "memory", target=0.9, weight=0.1),
    SignalTarget("gpuMemory", "gpuMemory", target=0.9, guard=True),
    SignalTarget("queue", "queue", target=5, guard=True),
    SignalTarget("tokens", "prometheus", target=900, weight=0.1),
)
RULES = ScaleRules(2, 40, (DEMAND,))
NOW = 10_000.0


def seen(
    values: dict[str, float], replicas: int = 10, warm: int | None = None, at: float = NOW, **more
) -> ScaleObservation:
    readings = {name: SignalReading(value, at - 5) for name, value in values.items()}
    return ScaleObservation(at, replicas, replicas if warm is None else warm, readings, **more)


def after(rules: ScaleRules, values: dict[str, float], replicas: int, seconds: float = 600) -> ScaleMemory:
    """Return the memory of an autoscaler that has seen the same for some time, up to `NOW`."""
    memory = ScaleMemory()
    for turn in range(int(seconds / 15), 0, -1):
        _, memory = decide(rules, memory, seen(values, replicas, at=NOW - 15 * turn))
    return memory


def decided(values: dict[str, float], replicas: int = 10, rules: ScaleRules = RULES, **more) -> ScaleDecision:
    return decide(rules, after(rules, values, replicas), seen(values, replicas, **more))[0]


def test_demand_beyond_the_target_adds_what_it_needs_at_once():
    found = decide(RULES, ScaleMemory(), seen({"demand": 300}))[0]
    assert (found.replicas, found.need, found.holds) == (19, 18.75, ())


def test_what_is_refused_counts_as_demand_and_not_only_what_is_admitted():
    assert decide(RULES, ScaleMemory(), seen({"demand": 480}, replicas=10))[0].replicas == 20, "a step of 100 %"


def test_a_step_up_is_bounded_and_small_fleets_may_add_four():
    assert decide(RULES, ScaleMemory(), seen({"demand": 600}, replicas=2))[0].replicas == 6
    assert decide(RULES, ScaleMemory(), seen({"demand": 600}, replicas=2))[0].holds == (Hold.STEP,)


def test_what_was_added_within_the_period_counts_towards_its_step():
    _, memory = decide(RULES, ScaleMemory(), seen({"demand": 600}, replicas=2, at=NOW - 10))
    assert decide(RULES, memory, seen({"demand": 600}, replicas=6))[0].replicas == 6


def test_less_demand_takes_replicas_away_after_the_window_and_by_a_step():
    memory = after(RULES, {"demand": 160}, 10)
    for turn in range(20):
        found, memory = decide(RULES, memory, seen({"demand": 40}, at=NOW + 15 * turn))
        assert (found.replicas, found.holds) == (10, (Hold.WINDOW,)), turn
    found, _ = decide(RULES, memory, seen({"demand": 40}, at=NOW + 301))
    assert (found.replicas, found.holds) == (5, (Hold.STEP,))


def test_a_new_leader_waits_for_a_window_of_its_own():
    found, _ = decide(RULES, ScaleMemory(), seen({"demand": 40}))
    assert (found.replicas, found.holds) == (10, (Hold.WINDOW,))


@pytest.mark.parametrize(
    ("more", "hold"),
    [({"warm": 9}, Hold.WARMING), ({"releasing": True}, Hold.RELEASING)],
    ids=["a replica warms up", "a release is under way"],
)
def test_nothing_goes_meanwhile(more: dict, hold: Hold):
    found = decided({"demand": 40}, **more)
    assert (found.replicas, found.holds) == (10, (hold,))


def test_a_missing_signal_keeps_what_there_is_and_lets_others_add():
    rules = ScaleRules(2, 40, (DEMAND, CPU))
    memory = after(rules, {"demand": 40, "cpu": 0.1}, 10)
    found, _ = decide(rules, memory, seen({"demand": 40}))
    assert (found.replicas, found.holds, found.weighing.missing) == (10, (Hold.SIGNAL_MISSING,), ("cpu",))
    assert decide(rules, memory, seen({"demand": 300}))[0].replicas == 19


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_value_that_is_none_is_missing(value: float):
    found = decided({"demand": value})
    assert (found.replicas, found.need, found.holds) == (10, None, (Hold.NO_SIGNAL,))


@pytest.mark.parametrize("age", [61.0, 7 * 86400.0, -30.0], ids=["old", "of last week", "of the future"])
def test_a_reading_of_another_time_is_missing(age: float):
    readings = {"demand": SignalReading(1000.0, NOW - age)}
    found, _ = decide(RULES, ScaleMemory(), ScaleObservation(NOW, 10, 10, readings))
    assert (found.replicas, found.holds) == (10, (Hold.NO_SIGNAL,))


def test_a_saturated_guard_is_not_averaged_away():
    rules = ScaleRules(2, 40, (SignalTarget("cpu", "cpu", 0.7, 0.3, guard=True), GPU, LATENCY))
    found = decided({"cpu": 1.0, "gpu": 0.24, "latency": 0.08}, rules=rules)
    assert found.weighing.mean is not None and found.weighing.mean < 1
    assert found.replicas == 14


def test_a_guard_near_its_target_holds_the_way_down_too():
    rules = ScaleRules(2, 40, (DEMAND, SignalTarget("cpu", "cpu", 0.7, 1.0)))
    found = decided({"demand": 144, "cpu": 0.35}, rules=rules)
    assert found.replicas == 10, "by the mean alone five would go, and demand be at 180 % of its target"


def test_low_latency_and_memory_never_argue_for_less():
    rules = ScaleRules(2, 40, (LATENCY, SignalTarget("memory", "memory", 0.8, 0.5)))
    assert decided({"latency": 0.001, "memory": 0.1}, rules=rules).replicas == 10


def test_latency_counts_as_twice_its_target_at_most():
    rules = ScaleRules(2, 40, (LATENCY,))
    assert decided({"latency": 9.0}, replicas=4, rules=rules).replicas == 8


def test_a_mean_of_no_replica_says_nothing_and_a_sum_wakes_the_first():
    rules = ScaleRules(0, 40, (DEMAND,))
    assert decided({"demand": 0.01}, replicas=0, rules=rules).replicas == 1
    assert decided({"cpu": 0.5}, replicas=0, rules=ScaleRules(0, 40, (CPU,))).holds == (Hold.NO_SIGNAL,)


def test_without_any_demand_the_last_one_goes_where_none_is_asked_for():
    assert decided({"demand": 0}, replicas=1, rules=ScaleRules(0, 40, (DEMAND,), step_down=1.0)).replicas == 0


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_however_small_the_step_one_can_go(replicas: int):
    rules = ScaleRules(0, 40, (DEMAND,), step_down=0.1)
    assert decided({"demand": 0}, replicas, rules).replicas == replicas - 1


def test_a_quota_bounds_what_comes_and_takes_nothing_away():
    found = decide(RULES, ScaleMemory(), seen({"demand": 300}, spare=3))[0]
    assert (found.replicas, found.holds) == (13, (Hold.QUOTA,))
    assert decide(RULES, ScaleMemory(), seen({"demand": 300}, spare=-5))[0].replicas == 10


def test_bounds_are_kept():
    assert decide(RULES, ScaleMemory(), seen({"demand": 10_000}, replicas=39))[0].replicas == 40
    assert decide(RULES, ScaleMemory(), seen({"demand": 0}, replicas=1))[0].replicas == 2
    lower = ScaleRules(2, 5, (DEMAND,))
    assert decide(lower, ScaleMemory(), seen({"demand": 160}))[0].replicas == 5
    assert decide(lower, ScaleMemory(), seen({"demand": 160}, warm=8))[0].replicas == 10


def test_growth_that_goes_on_is_met_before_it_is_there():
    rules = ScaleRules(2, 100, (DEMAND,), forecasts=True)
    memory = ScaleMemory()
    for turn in range(40, 0, -1):
        values = {"demand": 320 - 4 * turn}
        _, memory = decide(rules, memory, seen(values, 20, at=NOW - 15 * turn, warm_up=240))
    found, _ = decide(rules, memory, seen({"demand": 320}, 20, warm_up=240))
    assert found.need == 20 and found.ahead == pytest.approx(20 + 4 / 15 * 240 / 16, rel=0.05)
    assert found.replicas == 24


def test_one_step_is_no_growth():
    rules = ScaleRules(2, 100, (DEMAND,), forecasts=True)
    memory = after(rules, {"demand": 160}, 10)
    found, _ = decide(rules, memory, seen({"demand": 320}, warm_up=240))
    assert found.ahead == found.need == 20


values = st.fixed_dictionaries(
    {
        "demand": st.floats(0, 2000),
        "cpu": st.floats(0, 3),
        "gpu": st.floats(0, 1),
        "latency": st.floats(0, 10),
        "concurrency": st.floats(0, 500),
        "memory": st.floats(0, 2),
        "gpuMemory": st.floats(0, 1),
        "queue": st.floats(0, 500),
        "tokens": st.floats(0, 1e5),
    }
)
fleets = st.integers(0, 40).flatmap(lambda replicas: st.tuples(st.just(replicas), st.integers(0, replicas)))
rules_of_any_kind = st.builds(
    ScaleRules,
    least=st.integers(0, 5),
    most=st.integers(5, 60),
    signals=st.lists(st.sampled_from(EVERYTHING), min_size=1, unique=True).map(tuple),
    window=st.sampled_from([0.0, 60.0, 300.0]),
    step_down=st.sampled_from([0.1, 0.5, 1.0]),
    forecasts=st.booleans(),
)
histories = st.lists(values, max_size=6)


def remembered(rules: ScaleRules, earlier: list[dict[str, float]], replicas: int) -> ScaleMemory:
    memory = ScaleMemory()
    for turn, found in enumerate(earlier):
        _, memory = decide(rules, memory, seen(found, replicas, at=NOW - 100 * (len(earlier) - turn), warm_up=60))
    return memory


@given(rules_of_any_kind, histories, fleets, values, st.sampled_from([t.name for t in EVERYTHING]), st.floats(0, 5))
def test_more_of_any_signal_never_means_fewer_replicas(rules, earlier, fleet, read, name, more):
    memory = remembered(rules, earlier, fleet[0])
    less, _ = decide(rules, memory, seen(read, *fleet, warm_up=60))
    raised, _ = decide(rules, memory, seen({**read, name: read[name] * (1 + more) + more}, *fleet, warm_up=60))
    assert raised.replicas >= less.replicas


@given(rules_of_any_kind, histories, fleets.filter(lambda fleet: fleet[1] < fleet[0]), values)
def test_never_down_while_a_replica_warms_up(rules, earlier, fleet, read):
    found, _ = decide(rules, remembered(rules, earlier, fleet[0]), seen(read, *fleet))
    assert found.replicas >= fleet[0]


@given(rules_of_any_kind, histories, fleets, values, st.data())
def test_lost_signals_never_scale_down(rules, earlier, fleet, read, data):
    lost = data.draw(st.sets(st.sampled_from([target.name for target in rules.signals]), min_size=1), "lost")
    left = {name: value for name, value in read.items() if name not in lost}
    found, _ = decide(rules, remembered(rules, earlier, fleet[0]), seen(left, *fleet))
    assert found.replicas >= fleet[0]


@given(rules_of_any_kind, histories, st.integers(0, 60), values, st.none() | st.integers(-3, 20))
def test_never_outside_the_bounds_but_for_what_a_quota_lacks(rules, earlier, replicas, read, spare):
    found, _ = decide(rules, remembered(rules, earlier, replicas), seen(read, replicas, spare=spare))
    lowest = rules.least if spare is None else min(rules.least, replicas + max(0, spare))
    assert lowest <= found.replicas <= rules.most
