import dataclasses
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.facts import Bucket
from istio_templates.names import identity
from ratelimiter import controller
from ratelimiter.capacity import LimitBounds, VersionLoad
from ratelimiter.controller import TICK, LimitState, LimitTarget, Observation
from ratelimiter.debounce import DebounceWindow, Rules
from ratelimiter.slots import slot_of
from ratelimiter.target import Terms, target, total, within_tenant_ceilings

RULES = Rules(down=DebounceWindow(0.2, 1.0), up=DebounceWindow(5.0, 30.0))


def terms(model: str = "ranker", **changes) -> Terms:
    made = Terms(
        namespace="search",
        model=model,
        tenant="search",
        identity=identity("search", model),
        pools=("shared",),
        bounds=LimitBounds(Fraction(1)),
        burst=Fraction(1, 10),
        rules=RULES,
        cold="hold",
        stale="hold",
    )
    return dataclasses.replace(made, **changes)


def loads(replicas: int) -> tuple[VersionLoad, ...]:
    return (VersionLoad("v1", replicas, Fraction(20), Fraction(1)),)


def wanted(replicas: int, gateways: int = 2, written: bool = True, fresh: bool = True, **changes) -> LimitTarget:
    said = terms(**changes)
    return LimitTarget(said, target(said, total(said, loads(replicas), fresh), loads(replicas), gateways, written))


def seen(at: float, *found: LimitTarget, live=None, kept=()) -> Observation:
    return Observation(at, {one.terms.identity: one for one in found}, frozenset(kept), live or {})


class Cluster:
    """A cluster in memory: what is written is there."""

    def __init__(self) -> None:
        self.state, self.live, self.writes = LimitState(), {}, []

    def step(self, now: float, *found: LimitTarget, kept=()) -> controller.LimitDecision:
        observation = seen(now, *found, live=dict(self.live), kept=kept)
        decision, self.state = controller.decide(self.state, observation, now)
        if decision.writes:
            self.live.update(decision.writes)
            self.writes.append((now, set(decision.writes)))
            self.state = controller.written(self.state, decision.writes, now)
        return decision

    def limit(self, model: str = "ranker") -> Bucket | None:
        return dict(self.live.get(("shared", slot_of("search", model)), ())).get(identity("search", model))


def test_a_new_model_is_limited_at_once():
    cluster = Cluster()
    cluster.step(0.0, wanted(2, written=False))
    assert cluster.limit() == Bucket(20, 1, 2)


def test_a_cut_goes_out_after_its_quiet_and_a_raise_after_its_own():
    cluster = Cluster()
    cluster.step(0.0, wanted(2, written=False))
    assert cluster.step(10.0, wanted(1)).wake_at == pytest.approx(10.2)
    cluster.step(10.2, wanted(1))
    assert cluster.limit().rate == 10
    assert cluster.step(20.0, wanted(4)).wake_at == pytest.approx(25.0)
    cluster.step(25.0, wanted(4))
    assert cluster.limit().rate == 40


def test_ticks_are_a_second_apart_and_a_slot_is_in_each_once():
    cluster = Cluster()
    models = [f"m{number}" for number in range(40)]
    cluster.step(0.0, *(wanted(2, written=False, model=m) for m in models))
    for number in range(100):
        cluster.step(10 + number / 20, *(wanted(1 + (number + i) // 7 % 3, model=m) for i, m in enumerate(models)))
    times = [time for time, _ in cluster.writes]
    assert len(times) > 3
    assert all(later - earlier >= TICK for earlier, later in pairwise(times))


def test_a_restarted_controller_writes_nothing_where_nothing_changed():
    cluster = Cluster()
    cluster.step(0.0, wanted(2, written=False))
    cluster.state = LimitState()
    decision = cluster.step(100.0, wanted(2))
    assert decision.writes == {}
    assert decision.wake_at is None


def test_a_restarted_controller_debounces_what_changed_meanwhile():
    cluster = Cluster()
    cluster.step(0.0, wanted(2, written=False))
    cluster.state = LimitState()
    assert cluster.step(100.0, wanted(4)).wake_at == pytest.approx(105.0)


def test_a_model_that_has_gone_leaves_its_slot_and_nobody_else_does():
    cluster = Cluster()
    cluster.step(0.0, wanted(2, written=False), wanted(2, written=False, model="tagger"))
    cluster.step(5.0, wanted(2, model="tagger"))
    assert cluster.limit() is None
    assert cluster.limit("tagger") == Bucket(20, 1, 2)


def test_a_limit_of_a_refused_document_stays_as_it_is():
    cluster = Cluster()
    cluster.step(0.0, wanted(2, written=False))
    assert cluster.step(5.0, kept=[identity("search", "ranker")]).writes == {}
    assert cluster.limit() == Bucket(20, 1, 2)


def test_a_limit_that_somebody_else_changed_is_set_back():
    cluster = Cluster()
    cluster.step(0.0, wanted(2, written=False))
    cluster.live["shared", slot_of("search", "ranker")] = ((identity("search", "ranker"), Bucket(9999, 1, 2)),)
    cluster.step(5.0, wanted(2))
    assert cluster.limit() == Bucket(20, 1, 2)


def test_a_starting_gateway_pod_cuts_the_share_of_the_others_before_it_serves():
    cluster = Cluster()
    cluster.step(0.0, wanted(2, gateways=2, written=False))
    cluster.step(10.0, wanted(2, gateways=3))
    cluster.step(10.2, wanted(2, gateways=3))
    assert cluster.limit().rate * 3 == 40


def test_without_a_gateway_pod_the_last_share_stays():
    cluster = Cluster()
    cluster.step(0.0, wanted(2, written=False))
    cluster.step(10.0, wanted(2, gateways=0))
    cluster.step(100.0, wanted(2, gateways=0))
    assert cluster.limit().rate == 20


@pytest.mark.parametrize(("cold", "rate"), [("hold", 20), ("floor", Fraction(1, 2)), ("closed", Fraction(1, 2))])
def test_without_a_ready_replica_the_fallback_holds(cold, rate):
    cluster = Cluster()
    cluster.step(0.0, wanted(2, written=False, cold=cold))
    cluster.step(10.0, wanted(0, cold=cold))
    cluster.step(11.0, wanted(0, cold=cold))
    assert cluster.limit().rate == rate


def test_counts_that_are_not_fresh_do_not_move_a_limit():
    cluster = Cluster()
    cluster.step(0.0, wanted(2, written=False))
    cluster.step(10.0, wanted(7, fresh=False))
    cluster.step(60.0, wanted(7, fresh=False))
    assert cluster.limit().rate == 20


def test_models_of_a_tenant_over_its_ceiling_are_scaled_down_alike():
    said = [terms(model, tenant_ceiling=Fraction(50)) for model in ("ranker", "tagger")]
    totals = {one.identity: (one, total(one, loads(count), True)) for one, count in zip(said, (4, 1), strict=True)}
    scaled = within_tenant_ceilings(totals)
    assert [found.value for found in scaled.values()] == [40, 10]
    assert {found.reason for found in scaled.values()} == {"TenantCeiling"}


counts = st.lists(st.tuples(st.floats(0.05, 4.0), st.integers(0, 6), st.integers(1, 4)), min_size=1, max_size=40)


@given(steps=counts)
def test_in_the_end_the_gateway_pods_together_admit_what_the_replicas_serve(steps):
    cluster, now = Cluster(), 0.0
    cluster.step(now, wanted(3, written=False))
    for pause, replicas, gateways in [*steps, (60.0, 5, 3), (60.0, 5, 3), (60.0, 5, 3)]:
        now += pause
        cluster.step(now, wanted(replicas, gateways))
    assert cluster.limit().rate * 3 == 100


def in_slots(cluster, model):
    key = identity("search", model)
    return {slot[1] for slot, limits in cluster.live.items() if key in dict(limits)}


def beside(restless):
    """Return a model in the same slot of a kind as `ranker`."""
    mine = slot_of("search", "ranker", restless)
    return next(name for name in map(str, range(1000)) if slot_of("search", name, restless) == mine)


def test_a_model_that_becomes_restless_moves_at_once_though_nothing_else_is_due():
    cluster = Cluster()
    other = wanted(2, model=beside(False))
    cluster.step(0.0, wanted(2), other)
    cluster.step(10.0, wanted(2, restless=True), other)
    assert in_slots(cluster, "ranker") == {slot_of("search", "ranker", restless=True)}
    assert in_slots(cluster, beside(False)) == {slot_of("search", "ranker")}
    assert cluster.limit() is None


def test_a_manager_that_finds_a_limit_in_another_slot_moves_it_with_no_gateway_pod_to_share_it():
    cluster = Cluster()
    old = slot_of("search", "ranker", restless=True)
    cluster.live["shared", old] = ((identity("search", "ranker"), Bucket(7, 1, 2)),)
    cluster.step(0.0, wanted(2, gateways=0))
    assert cluster.limit() == Bucket(7, 1, 2)
    assert in_slots(cluster, "ranker") == {slot_of("search", "ranker")}


def test_a_slot_gives_a_limit_away_only_after_the_other_has_it():
    a, b, bucket = ("shared", 8), ("shared", 12), Bucket(1, 1, 2)
    live = {a: (("x", bucket), ("y", bucket)), b: ()}
    assert controller.giving(live, {a: (("y", bucket),), b: (("x", bucket),)}) == {a: {b}}
    assert controller.giving(live, {a: (("y", bucket),)}) == {}  # gone, not moved
    assert controller.giving(live, {a: (("x", Bucket(2, 1, 2)), ("y", bucket))}) == {}
    swapped = {a: (("y", bucket),), b: (("x", bucket),)}
    assert controller.giving({a: (("x", bucket),), b: (("y", bucket),)}, swapped) == {a: {b}, b: {a}}


@given(steps=counts, pods=st.integers(1, 4))
def test_the_pods_together_never_admit_more_than_the_replicas_could_serve_a_moment_ago(steps, pods):
    """Whatever the replicas do, in any order: what all pods admit together is no more than was served at some moment
    within the longest patience for cuts and a tick. So no raise runs ahead of its replicas, and no cut stays behind."""
    cluster, now, replicas = Cluster(), 0.0, 3
    decision = cluster.step(now, wanted(replicas, pods, written=False))
    history = [(now, replicas)]
    for pause, after, _ in steps:
        until = now + pause
        while decision.wake_at is not None and decision.wake_at < until:
            now = max(now, decision.wake_at)
            decision = cluster.step(now, wanted(replicas, pods))
            assert cluster.limit().rate * pods <= 20 * _served_lately(history, now)
        now, replicas = until, max(1, after)
        history.append((now, replicas))
        decision = cluster.step(now, wanted(replicas, pods))
        assert cluster.limit().rate * pods <= 20 * _served_lately(history, now)


def _served_lately(history, now):
    since = now - RULES.down.longest - TICK
    return max([count for at, count in history if at > since] + [count for at, count in history if at <= since][-1:])


def test_what_is_not_enforced_for_all_never_comes_into_a_shared_slot():
    cluster = Cluster()
    partial = wanted(2, model=beside(False))
    bucket = dataclasses.replace(partial.target.bucket, enforced=0)
    partial = LimitTarget(partial.terms, dataclasses.replace(partial.target, bucket=bucket))
    cluster.step(0.0, wanted(2, written=False), partial)
    assert {b.enforced for limits in cluster.live.values() for _, b in limits} == {100}


A, B, C = ("shared", 1), ("shared", 9), ("shared", 3)


def writes_in_turn(giving, failing=frozenset()):
    done, tried, out = set(), set(), []
    while turn := controller.next_writes({A, B, C}, giving, done, tried):
        out.append(set(turn))
        tried |= turn
        done |= turn - failing
    return out


def test_slots_that_give_wait_for_those_that_take():
    assert writes_in_turn({}) == [{A, B, C}]
    assert writes_in_turn({A: {B}, B: {C}}) == [{C}, {B}, {A}]
    assert writes_in_turn({A: {B}, B: {C}}, failing={C}) == [{C}]
    assert writes_in_turn({A: {B}, B: {A}}) == [{C}, {A, B}]
    assert writes_in_turn({A: {B, C}, B: {A}}, failing={C}) == [{C}]
