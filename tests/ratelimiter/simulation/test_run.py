from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istio_templates.errors import Invalid
from ratelimiter.simulation.picture import picture
from ratelimiter.simulation.run import simulate
from ratelimiter.simulation.scenario import read
from ratelimiter.simulation.trace import generated

CALM = {"down": {"quiet": "200ms", "longest": "1s"}, "up": {"quiet": "5s", "longest": "30s"}}


def scenario(**given):
    limit = {"perReplicaQps": 20, "burst": "100ms", **given.pop("rateLimit", {})}
    return read({"rateLimit": limit, "replicas": 2, "gateways": 2, **given}, "test")


def constant(rate, seconds=60):
    return generated("constant", Fraction(rate), Fraction(rate), seconds)


def test_what_the_replicas_can_serve_is_admitted_and_nothing_else():
    told = simulate(scenario(), constant(120)).figures()
    assert (told["offered"], told["admitted"], told["refused"]) == (7200, 2402, 4798)
    assert told["writes"] == told["rewrites"] == told["overAdmission"]["byRefills"] == 0


def test_below_the_limit_nothing_is_refused():
    told = simulate(scenario(), constant(30)).figures()
    assert told["refused"] == 0


def test_a_cut_is_enforced_after_its_debounce_and_the_way_to_the_proxies():
    told = simulate(scenario(replicas=[{"count": 4}, {"at": "20s", "count": 2}]), constant(200)).figures()
    assert told["timeToConverge"] == {"median": 0.35, "longest": 0.35}
    assert told["writes"] == 1
    assert told["limitAtEnd"] == 40


def test_a_raise_waits_until_the_count_has_been_stable():
    told = simulate(scenario(replicas=[{"count": 2}, {"at": "20s", "count": 4}]), constant(200)).figures()
    assert told["timeToConverge"]["longest"] == 5.15


def test_a_replica_that_comes_back_within_the_debounce_writes_nothing():
    flap = [{"count": 4}, {"at": "20s", "count": 3}, {"at": "20.1s", "count": 4}]
    told = simulate(scenario(replicas=flap), constant(200)).figures()
    assert told["writes"] == 0
    assert told["changes"] == {"wanted": 1, "enforced": 0, "overtaken": 1}


def test_more_gateway_pods_share_the_same_limit():
    told = simulate(scenario(gateways=[{"count": 2}, {"at": "20s", "count": 4}]), constant(200)).figures()
    assert told["limitAtEnd"] == 40
    assert told["writes"] == 1


def test_rewrites_that_neighbours_cause_admit_more_but_never_more_than_is_stated():
    told = simulate(scenario(slotRewrites=60), constant(120)).figures()
    assert 0 < told["overAdmission"]["byRefills"] <= told["overAdmission"]["atMost"]
    assert told["rewrites"] == 60


def test_a_client_that_sees_one_gateway_pod_gets_that_pods_share():
    told = simulate(scenario(connectionSkew=[0.999, 0.001]), constant(40)).figures()
    assert told["admitted"] == pytest.approx(1200, rel=0.05)


def test_a_model_that_is_closed_when_cold_admits_nothing_meanwhile():
    cold = scenario(replicas=[{"count": 2}, {"at": "20s", "count": 0}], rateLimit={"fallback": {"cold": "closed"}})
    told = simulate(cold, constant(40)).figures()
    assert told["closed"] == 40 * 40 - 6  # all from 150 ms after the last replica went
    assert told["admitted"] == told["offered"] - told["refused"]


@settings(max_examples=30)
@given(
    replicas=st.lists(st.integers(0, 12), min_size=1, max_size=8),
    gateways=st.integers(1, 5),
    rewrites=st.sampled_from([0, 6, 60]),
    rate=st.integers(5, 300),
)
def test_nothing_is_lost_and_refills_stay_within_their_bound(replicas, gateways, rewrites, rate):
    timeline = [{"at": f"{5 * number}s", "count": count} for number, count in enumerate(replicas)]
    given = scenario(replicas=timeline, gateways=gateways, slotRewrites=rewrites, rateLimit={"ceiling": 150})
    outcome = simulate(given, constant(rate, 40))
    told = outcome.figures()
    assert told["admitted"] + told["refused"] == told["offered"] == rate * 40
    assert told["overAdmission"]["byRefills"] <= told["overAdmission"]["atMost"]
    assert sum(row["offered"] for row in outcome.series.rows()) == told["offered"]
    assert all(row["limit"] <= 150 for row in outcome.series.rows())
    assert told["admitted"] <= 150 * 40 + gateways * 2 * 8 + told["overAdmission"]["atMost"]


def test_the_picture_shows_all_four_lines():
    drawn = picture(simulate(scenario(), constant(120)).series.rows(), "<a trace>")
    assert drawn.startswith("<svg ")
    assert drawn.count("<polyline") == 3
    assert drawn.count("<polygon") == 1
    assert "&lt;a trace&gt;" in drawn


REFUSED = {
    "no rate": ({"replicas": 2, "gateways": 1, "rateLimit": {}}, "rateLimit.perReplicaQps: is missing"),
    "no replicas": ({"gateways": 1, "rateLimit": {"perReplicaQps": 20}}, "replicas: is missing"),
    "no gateway pod": ({"replicas": 2, "gateways": 0, "rateLimit": {"perReplicaQps": 20}}, "gateways: without"),
    "a timeline that goes back": (
        {"replicas": [{"count": 1}, {"at": "9s", "count": 2}, {"at": "3s", "count": 2}], "gateways": 1, "rateLimit": {"perReplicaQps": 20}},
        "replicas: begin at 0s",
    ),
    "a word that is unknown": ({"replica": 2, "gateways": 1, "rateLimit": {"perReplicaQps": 20}}, "did you mean replicas?"),
    "a skew of other length": (
        {"replicas": 2, "gateways": 3, "connectionSkew": [0.5, 0.5], "rateLimit": {"perReplicaQps": 20}},
        "connectionSkew: give one share for each",
    ),
}  # fmt: skip


@pytest.mark.parametrize("raw, said", REFUSED.values(), ids=REFUSED.keys())
def test_settings_that_make_no_sense_are_refused_with_the_field(raw, said):
    with pytest.raises(Invalid) as refused:
        read(raw, "settings")
    assert said in str(refused.value)
