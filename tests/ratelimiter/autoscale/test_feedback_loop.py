"""The whole loop against demands of an hour: it follows what is needed, and plain autoscalers beside it."""

import pytest

from ratelimiter.autoscale.feedback_loop import Plant, run
from ratelimiter.autoscale.fleet_autoscaler import PlainHpa, TidegateAutoscaler
from ratelimiter.autoscale.horizontal_pod_autoscaler import HpaRules
from tests.support.demand_replays import LEAST, MOST, RULES, SHAPES, Replay, refused, replays, swing

REPLAYS = replays()
every = pytest.mark.parametrize("replay", REPLAYS, ids=[replay.name for replay in REPLAYS])


@every
def test_the_warm_replicas_are_within_one_of_what_is_needed_almost_always(replay: Replay):
    seconds = replay.by_tidegate()
    assert all(LEAST <= second.replicas <= MOST for second in seconds)
    assert replay.tracked(seconds) >= 0.95


@pytest.mark.parametrize("replay", [r for r in REPLAYS if "constant" in r.name], ids=lambda replay: replay.name)
def test_noise_swings_by_a_replica_at_most(replay: Replay):
    assert swing(replay.by_tidegate()) <= 1


def test_there_are_enough_demands_of_every_kind():
    assert len(REPLAYS) >= 20
    assert {name for name in SHAPES if any(name in replay.name for replay in REPLAYS)} == set(SHAPES)


def test_an_autoscaler_on_cpu_does_not_see_what_is_refused():
    """Refusals keep CPU below its target, so that nothing is added; demand goes up with them."""
    plant = Plant(20.0, replicas=2, full_cpu=0.7)
    replay = Replay("three times what two can serve", (120.0,) * 900, plant)
    by_cpu = run(plant, replay.demand, PlainHpa(HpaRules(LEAST, MOST), 20.0, target=0.75, full_cpu=0.7))
    ours = replay.by_tidegate()
    assert {second.replicas for second in by_cpu} == {2}
    assert refused(by_cpu) > 0.4 > 0.1 > refused(ours)
    assert all(second.limited == 0 for second in ours[-600:])


def test_without_statistics_nothing_changes():
    plant = Plant(20.0, replicas=7)
    seconds = run(plant, [400.0] * 600, TidegateAutoscaler(RULES, plant.lasts), away=range(600))
    assert {second.replicas for second in seconds} == {7}


def test_replicas_serve_after_their_start_and_warm_up_and_the_limit_follows():
    plant = Plant(20.0, start=5, warm_up=30, raise_after=5, replicas=2)
    seconds = Replay("", (100.0,) * 120, plant).by_tidegate()
    asked = next(at for at, second in enumerate(seconds) if second.replicas > 2)
    warm = next(at for at, second in enumerate(seconds) if second.warm > 2)
    raised = next(at for at, second in enumerate(seconds) if second.admitted > 40)
    assert warm - asked == 5 + 30 - 1 and raised - warm == 5
