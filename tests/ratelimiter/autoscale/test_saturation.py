"""Whether replicas bear their figure: what counts as a look, and how long looks have to agree."""

import pytest

from ratelimiter.autoscale.saturation import KEPT, LASTING, Saturation, SaturationMemory, measured, remembered
from ratelimiter.autoscale.signals import SignalReading, SignalTarget, term_of

SLOW, FAST = Saturation(18.0, 0.12, 0.08), Saturation(18.0, 0.05, 0.08)


def look(demand, latency, warm=2):
    readings = {"demand": demand, "latency": latency}
    targets = (SignalTarget("demand", "demand", 16.0), SignalTarget("latency", "latency", 0.08))
    terms = [
        term_of(target, None if readings[target.name] is None else SignalReading(readings[target.name], 0), warm, 0, 60)
        for target in targets
    ]
    return measured(terms, 20.0, warm)


@pytest.mark.parametrize("demand", [31.9, 40.1, None])
def test_another_load_than_almost_all_that_replicas_have_proves_nothing(demand):
    assert look(demand, 0.5) is None


@pytest.mark.parametrize(("demand", "load"), [(32.0, 16.0), (40.0, 20.0)])
def test_load_and_latency_stand_beside_the_target(demand, load):
    assert look(demand, 0.5) == Saturation(load, 0.5, 0.08)


def test_nothing_is_known_without_latency_figure_or_replica():
    assert look(36.0, None) is look(0.0, 0.5, warm=0) is measured([], None, 2) is None


def after(looks, every=15.0, memory=None):
    memory, at = memory or SaturationMemory(), 1000.0
    if memory.last:
        at = memory.last + every
    for one in looks:
        memory = remembered(memory, "v1", one, at)
        at += every
    return memory


TURNS = int(LASTING / 15) + 1


def test_it_is_found_when_looks_agree_for_a_while_and_goes_the_same_way():
    assert after([SLOW] * (TURNS - 1)).found is None
    found = after([SLOW] * TURNS)
    assert found.found == SLOW
    assert after([FAST] * (TURNS - 1), memory=found).found == SLOW
    assert after([FAST] * TURNS, memory=found).found is None


@pytest.mark.parametrize("between", [FAST, None])
def test_looks_that_do_not_agree_begin_again(between):
    assert after([*[SLOW] * (TURNS - 1), between, *[SLOW] * (TURNS - 1)]).found is None


def test_looks_that_prove_nothing_leave_it_for_an_hour():
    found = after([SLOW] * TURNS)
    turns = int(KEPT / 15)
    assert after([None] * turns, memory=found).found == SLOW
    assert remembered(found, "v1", None, found.last + KEPT + 1).found is None


def test_the_figure_stays_what_it_was_when_it_was_found():
    found = after([SLOW] * TURNS)
    assert after([Saturation(19.0, 0.2, 0.08)] * TURNS, memory=found).found == SLOW


def test_other_figures_or_pods_begin_from_nothing():
    assert remembered(after([SLOW] * TURNS), "v2", SLOW, 1100.0).found is None
