"""The whole loop in the simulation: demand moves replicas, and when they are warm the limit."""

from fractions import Fraction
from itertools import pairwise

import pytest

from istio_templates.errors import Invalid
from ratelimiter.simulation.run import simulate
from ratelimiter.simulation.trace import TraceRow, checked
from tests.ratelimiter.simulation.test_run import constant, scenario

TWO_TO_TWENTY = {"autoscale": {"min": 2, "max": 20}}


def scaled(**given):
    return scenario(scaling={**TWO_TO_TWENTY, **given})


def moments(outcome, name):
    return [(row["time"], row[name]) for row in outcome.series.rows()]


def first(outcome, name, least):
    return next(time for time, value in moments(outcome, name) if value >= least)


def test_what_is_refused_brings_replicas_and_these_raise_the_limit():
    outcome = simulate(scaled(warmUp="30s", start="5s"), constant(160, 300))
    told = outcome.figures()
    assert told["replicas"] == {"least": 2, "most": 10, "atEnd": 10}
    assert told["limitAtEnd"] == 200
    asked, warm, limit = first(outcome, "asked", 10), first(outcome, "replicas", 10), first(outcome, "limit", 200)
    assert asked == 30, "the first row has arrived at 15 s; of two replicas come at most four more, of six the rest"
    assert (warm - asked, limit - warm) == (35, 5)
    assert all(row["admitted"] == row["offered"] for row in outcome.series.rows() if row["time"] > limit)


def test_they_go_when_the_whole_window_has_borne_less_and_at_most_half_of_them_at_once():
    less = [160] * 300 + [20] * 1200
    falling = checked((TraceRow(Fraction(at), count) for at, count in enumerate(less)), "less")
    rows = simulate(scaled(), falling).series.rows()
    asked = [(row["time"], row["asked"]) for row in rows]
    drops = [(later[0], later[1]) for before, later in pairwise(asked) if later[1] < before[1]]
    assert [count for _, count in drops] == [5, 3, 2]
    assert drops[0][0] >= 300 + 300 and all(later[0] - before[0] > 300 for before, later in pairwise(drops))
    assert all(row["admitted"] == row["offered"] for row in rows if row["time"] > 300)


def test_kubernetes_own_on_cpu_does_not_see_what_is_refused():
    full = {"min": 2, "max": 20, "signals": [{"name": "demand", "target": "100%"}]}
    ours = simulate(scaled(), constant(160, 300)).figures()
    theirs = simulate(scenario(scaling={"autoscale": full, "autoscaler": "hpa"}), constant(160, 300)).figures()
    assert theirs["replicas"] == {"least": 2, "most": 2, "atEnd": 2}
    assert theirs["refused"] > 3 * ours["refused"] > 0


def in_flight(target: float, **more):
    signals = [{"name": "concurrency", "target": target}]
    return scaled(autoscale={"min": 2, "max": 20, "signals": signals}, serviceTime="200ms", **more)


def test_concurrency_is_that_of_the_admitted_requests_so_that_it_is_slower_than_demand():
    ours, by_demand = (simulate(one, constant(160, 600)).figures() for one in (in_flight(3), scaled()))
    assert ours["replicas"] == {"least": 2, "most": 11, "atEnd": 11}, "160 x 0.2 s are 32 in flight, three for each"
    assert ours["refused"] > by_demand["refused"]


def test_concurrency_with_the_target_of_a_full_replica_does_not_see_what_is_refused():
    assert simulate(in_flight(4), constant(160, 300)).figures()["replicas"]["atEnd"] == 2


def test_without_an_autoscaler_the_timeline_is_in_the_series():
    outcome = simulate(scenario(replicas=[{"count": 2}, {"at": "20s", "count": 4}]), constant(30, 40))
    assert moments(outcome, "replicas")[19:21] == [(19, 2), (20, 4)]
    assert moments(outcome, "asked") == moments(outcome, "replicas")


@pytest.mark.parametrize(
    ("scaling", "said"),
    [
        ({"autoscale": {"min": 5, "max": 2}}, "min 5 and max 2"),
        ({"autoscale": {"min": 0, "max": 0}}, "max is at least 1"),
        ({"autoscale": {"max": 2, "scaleDown": {"step": "0%"}}}, "no share above nothing"),
        ({"autoscale": {"max": 2, "scaleDown": {"step": "150%"}}}, "no more than all replicas can go"),
        ({"autoscale": {"max": 2, "signals": []}}, "signals"),
        ({"autoscale": {"max": 2, "signals": [{"name": "demand", "target": 80}]}}, "no share above nothing"),
        (
            {"autoscale": {"max": 2, "signals": [{"name": "cpu", "target": "70%"}]}},
            "knows concurrency and demand alone",
        ),
        (
            {"autoscale": {"max": 2, "signals": [{"name": "concurrency", "target": 3}]}},
            "serviceTime: concurrency needs",
        ),
        (
            {
                "autoscale": {"max": 2, "signals": [{"name": "concurrency", "target": 3}]},
                "serviceTime": "1s",
                "autoscaler": "hpa",
            },
            "knows CPU alone",
        ),
        ({"autoscale": {"max": 2, "schedules": [{"cron": "0 8 * * *", "length": "1h", "min": 2}]}}, "leave other"),
        ({"autoscale": {"max": 2}, "warmUp": "soon"}, "no duration"),
        ({"autoscale": {"max": 2}, "autoscaler": "keda"}, "autoscaler"),
        ({}, "autoscale"),
    ],
)
def test_what_is_wrong_is_named(scaling, said):
    with pytest.raises(Invalid, match=said):
        scenario(scaling=scaling)


def test_a_timeline_and_an_autoscaler_are_one_too_many():
    with pytest.raises(Invalid, match="the one that it begins with"):
        scenario(replicas=[{"count": 2}, {"at": "20s", "count": 4}], scaling=TWO_TO_TWENTY)
