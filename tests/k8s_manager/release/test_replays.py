"""Generated releases: bad versions are not promoted, equal ones not aborted. All 200: `python -m benchmarks releases`."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.support.release_replays import KINDS, PARTS, Traffic, p99, traces
from tests.support.release_runs import by_flagger, by_tidegate

ALL = traces()
SOME = ALL[3::20]


@pytest.mark.parametrize("trace", SOME, ids=[trace.name for trace in SOME])
def test_how_a_release_ends(trace):
    end = by_tidegate(trace)
    assert end.how != ("promoted" if trace.is_bad else "aborted"), end


def test_there_are_200_of_every_kind_with_little_traffic_and_gaps():
    assert Counter(trace.kind for trace in ALL) == PARTS and len(ALL) == 200
    for kind in KINDS:
        of_kind = [trace for trace in ALL if trace.kind == kind]
        assert min(trace.rate for trace in of_kind) < 2 < 100 < max(trace.rate for trace in of_kind)
        assert any(trace.gaps for trace in of_kind)
    assert min(trace.times_errors for trace in ALL if trace.kind == "5xx") == 2
    assert {min(t.times_latency for t in ALL if t.kind == kind) for kind in ("slow", "slow under load")} == {1.5}


@pytest.mark.parametrize("kind", KINDS)
def test_the_requests_are_as_bad_as_the_trace_says(kind):
    trace = max((trace for trace in ALL if trace.kind == kind), key=lambda trace: trace.rate)
    traffic = Traffic(trace, "seed")
    minutes = [traffic.minute(60.0 * number, 50) for number in range(200)]
    new, stable = ([getattr(minute, name) for minute in minutes] for name in ("new", "stable"))
    errors = [sum(part.outcomes["5xx"] for part in parts) for parts in (new, stable)]
    assert errors[0] / errors[1] == pytest.approx(trace.times_errors, rel=0.15)
    slowest = [sum(map(p99, parts)) for parts in (new, stable)]
    assert slowest[0] / slowest[1] == pytest.approx(trace.times_latency, rel=0.1)


def test_the_peers_rule_is_flaggers():
    """Five checks of a minute that fail roll back; without values a check has failed."""
    calm = next(trace for trace in ALL if trace.kind == "equal" and trace.rate > 100 and trace.errors < 0.002)
    assert by_flagger(calm).how == "promoted"
    assert by_flagger(calm).seconds == 240
    silent = by_flagger(replace(calm, gaps=(range(3600),)))
    assert (silent.how, silent.seconds) == ("aborted", 300)
