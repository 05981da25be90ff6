"""Which matches hold, what capacity they leave, and where a caller goes whose hash decides."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents import ModelSpec, parse
from istio_templates.virtual_service import weights_of
from k8s_manager.pipeline.facts import loads
from k8s_manager.traffic.release_traffic import released
from k8s_manager.traffic.weights import carried, declared
from ratelimiter.capacity import capacity
from tests.golden.case import rendered_text
from tests.standalone.test_arms import case, weighted
from tests.support.documents import model

VERSIONS = [{"name": name, "workload": {"replicas": 2, "image": "example.com/ranker:1"}} for name in ("v1", "v2")]
MATCHES = [
    {"name": "testers", "headers": {"x-arm": {"exact": "b"}}, "version": "v2"},
    {"name": "old", "cookie": {"name": "arm", "value": "a"}, "version": "v1"},
]
counts = st.integers(0, 20)


def spec(v2: int = 0) -> ModelSpec:
    traffic = [{"version": "v1", "weight": 100 - v2}, {"version": "v2", "weight": v2}]
    found = parse(model(versions=VERSIONS, traffic=traffic, trafficMatches=MATCHES)).spec
    assert isinstance(found, ModelSpec)
    return found


def test_a_match_holds_while_its_version_is_warm():
    assert [match.arm for match in carried(spec(), ["v1", "v2"])] == ["testers", "old"]
    assert [match.arm for match in carried(spec(), ["v1"])] == ["old"]
    assert [match.arm for match in carried(spec(), [])] == ["testers", "old"], "the document holds as it is"


@given(v1=counts, v2=counts, weight=st.integers(0, 99), matched=st.fractions(0, 1))
def test_no_version_gets_more_than_it_serves_whatever_share_is_matched(v1, v2, weight, matched):
    """The model's bucket and those of matched versions together: no share of matched requests overloads a version."""
    of = spec(weight)
    ready = {"v1": v1, "v2": v2}
    total = capacity(loads(of, ready))
    buckets = {name: capacity(loads(of, ready, own=name)) for name in of.matched}
    warm = [name for name, count in ready.items() if count]
    for match in carried(of, warm) if warm else ():
        shares = {load.name: load.share * (1 - matched) for load in loads(of, ready)}
        shares[match.version] += matched
        for load in loads(of, ready):
            asked = min(total * shares[load.name], buckets.get(load.name, Fraction(10**9)))
            assert asked <= load.served


def test_weights_are_read_beside_matches():
    (route,) = [obj for obj in rendered_text(case("traffic-matches")) if obj["kind"] == "VirtualService"]
    assert [rule["name"] for rule in route["spec"]["http"]][-1] == "search.ranker.0"
    assert weights_of(route) == {"v1": 100}


def test_a_release_moves_the_weights_and_leaves_the_matches():
    of = parse(
        model(versions=VERSIONS, traffic=[{"version": "v2", "weight": 100}], trafficMatches=MATCHES, rollout={})
    ).spec
    assert isinstance(of, ModelSpec)
    instead = released("ranker", of, {}, {"v1": 95, "v2": 5}, ())
    assert instead is not None and declared(instead) == {"v1": 95, "v2": 5}
    assert instead.traffic_matches == of.traffic_matches


def version_of(weight: int, hashed: int) -> str:
    """Return which version Envoy chooses: that in whose part of the weights, one after the other, the hash lies."""
    (route,) = [obj for obj in rendered_text(weighted(weight)) if obj["kind"] == "VirtualService"]
    at, targets = hashed % 100, route["spec"]["http"][0]["route"]
    for target in targets if len(targets) > 1 else ():
        if at < target["weight"]:
            return str(target["destination"]["subset"])
        at -= target["weight"]
    return str(targets[-1]["destination"]["subset"])


@given(before=st.integers(0, 100), by=st.integers(0, 100), hashed=st.integers(0, 2**64 - 1))
def test_as_a_weight_rises_callers_come_to_its_version_and_none_goes_back(before, by, hashed):
    after = min(100, before + by)
    if version_of(before, hashed) == "v2":
        assert version_of(after, hashed) == "v2"
