"""Matches and sticky assignment in documents, and which requests they take."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.arms.arm_rules import arm_of, cookie_test
from istio_templates.documents import ModelSpec, parse
from istio_templates.documents.arms.traffic_match import TrafficMatch
from istio_templates.errors import Invalid
from tests.support.documents import model

VERSIONS = [{"name": name, "workload": {"replicas": 2, "image": "example.com/ranker:1"}} for name in ("v1", "v2")]
HOST = "search.models.example.com"


def header(name: str = "x-arm", version: str = "v2", **test: str) -> dict[str, Any]:
    return {"headers": {name: test or {"exact": "b"}}, "version": version}


def cookie(name: str = "arm", value: str = "b", version: str = "v2") -> dict[str, Any]:
    return {"cookie": {"name": name, "value": value}, "version": version}


def spec(**fields: Any) -> ModelSpec:
    found = parse(model(**{"versions": VERSIONS, **fields})).spec
    assert isinstance(found, ModelSpec)
    return found


WRONG: list[tuple[str, Any]] = [
    ("is no version of this model", [header(version="v9")]),
    ("takes each of its requests before it", [header(), header()]),
    ("takes each of its requests before it", [header(prefix="b"), header(exact="beta", version="v1")]),
    ("takes each of its requests before it", [header(), {**header(), "headers": {"x-arm": {"exact": "b"}, "x-u": {"exact": "1"}}}]),
    ("takes each of its requests before it", [cookie(), {**cookie(), "name": "again"}]),
    ("an arm is one version", [{**header(), "name": "a"}, {**cookie(version="v1"), "name": "a"}]),
    ("stands for requests that the weights divide", [{**header(), "name": "weights"}]),
    ("exactly one of headers and cookie", [{"version": "v2"}]),
    ("exactly one of headers and cookie", [{**header(), **cookie()}]),
    ("exactly one of exact, prefix and regex", [header(exact="a", prefix="a")]),
    ("test one with cookie", [header("Cookie")]),
    ("belongs to the gateway", [header("x-tidegate-probe")]),
    ("belongs to the gateway", [header("x-envoy-retry-on")]),
    ("belongs to the gateway", [header(":authority")]),
    ("belongs to the gateway", [header("Host")]),
    ("is no header name", [header("x arm")]),
    ("the same header", [{"headers": {"x-arm": {"exact": "a"}, "X-Arm": {"exact": "b"}}, "version": "v2"}]),
    ("never comes so", [header(exact=" b")]),
    ("never comes so", [header(exact="b\n")]),
    ("never comes so", [header(exact="%REQ(x)%")]),
    ("parts that not every proxy knows", [header(regex="(?i)b")]),
    ("parts that not every proxy knows", [header(regex="(a*)*+")]),
    ("no regular expression", [header(regex="(a")]),
    ("at least 1 character", [header(exact="")]),
    ("at most 256 characters", [header(exact="b" * 257)]),
    ("match", [cookie(value="a;b")]),
    ("match", [cookie(name="a=b")]),
    ("at most 8 items", [header(exact=str(number)) for number in range(9)]),
    ("at most 4 items", [{"headers": {f"x-{number}": {"exact": "1"} for number in range(5)}, "version": "v2"}]),
    ("at least 1 item", [{"headers": {}, "version": "v2"}]),
]  # fmt: skip


@pytest.mark.parametrize(("said", "matches"), WRONG)
def test_a_match_that_cannot_be_is_refused_with_its_field(said: str, matches: Any):
    with pytest.raises(Invalid) as caught:
        spec(trafficMatches=matches)
    assert "spec.trafficMatches" in str(caught.value)
    assert said in str(caught.value)


def test_a_route_that_asks_for_the_same_header_is_refused():
    route = {"host": HOST, "path": "/a", "port": 8080, "headers": {"x-arm": "a"}}
    with pytest.raises(Invalid, match=r"routes\[0\] asks for header x-arm itself"):
        spec(routes=[route], trafficMatches=[header()])


def test_rules_and_ports_have_bounds():
    routes = [{"host": HOST, "path": f"/{number}", "port": 8080} for number in range(32)]
    assert spec(routes=routes, trafficMatches=[header(exact=str(number)) for number in range(4)])
    with pytest.raises(Invalid, match="5 matches on 32 routes are more than 128 rules"):
        spec(routes=routes, trafficMatches=[header(exact=str(number)) for number in range(5)])
    routes = [{"host": HOST, "path": f"/{port}", "port": port} for port in (8080, 8081)]
    with pytest.raises(Invalid, match="needs all routes on one port"):
        spec(routes=routes, trafficMatches=[header()])


def test_sticky_takes_one_key_and_no_second_hash():
    assert spec(sticky={"header": "X-User-Id"}).sticky.header == "x-user-id"  # type: ignore[union-attr]
    for wrong in ({}, {"header": "x-a", "cookie": {"name": "a"}}, {"header": "x-tidegate-user"}):
        with pytest.raises(Invalid, match="sticky"):
            spec(sticky=wrong)
    balancing = {"loadBalancing": {"policy": "hash", "header": "x-user-id"}}
    with pytest.raises(Invalid, match="sticky: loadBalancing"):
        spec(sticky={"header": "x-user-id"}, trafficPolicy=balancing)


def test_a_version_that_nothing_would_wake_is_refused():
    demand = {"min": 0, "max": 2, "signals": [{"name": "demand", "target": "80%"}]}
    scaled = [VERSIONS[0], {"name": "v2", "workload": {"image": "a:1"}, "autoscale": demand}]
    limit = {"perReplicaQps": 20, "fallback": {"cold": "closed"}}
    assert spec(versions=scaled, rateLimit=limit)
    with pytest.raises(Invalid, match="autoscale of v2 has min 0"):
        spec(versions=scaled, rateLimit=limit, trafficMatches=[header()])


@pytest.mark.parametrize("field", [{"trafficMatches": [header()]}, {"sticky": {"header": "x-a"}}])
def test_an_attached_route_is_its_owners(field: Any):
    existing = [{"name": name, "existing": {"labels": {"app": name}}} for name in ("v1", "v2")]
    with pytest.raises(Invalid, match="needs a route that Tidegate renders"):
        spec(routes=[], attachTo={"virtualService": "other"}, versions=existing, **field)


tests = st.one_of(
    st.builds(lambda text: {"exact": text}, st.text("ab", min_size=1, max_size=3)),
    st.builds(lambda text: {"prefix": text}, st.text("ab", min_size=1, max_size=3)),
    st.builds(lambda text: {"regex": text + ".*"}, st.text("ab", min_size=1, max_size=2)),
)
conditions = st.dictionaries(st.sampled_from(["x-a", "x-b"]), tests, min_size=1)
requests = st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.text("abc", max_size=4))


@given(one=conditions, other=conditions, request=requests)
def test_what_covers_another_match_takes_each_of_its_requests(one, other, request):
    first, second = (TrafficMatch.model_validate({"headers": each, "version": "v2"}) for each in (one, other))
    if first.covers(second) and second.takes(request):
        assert first.takes(request)


def test_no_expression_of_a_document_is_run_while_it_is_read():
    """Python would take longer than a year for this one."""
    first = {"headers": {"x-arm": {"regex": "(a|aa)+"}}, "version": "v1"}
    second = {"headers": {"x-arm": {"exact": "a" * 200 + "b"}}, "version": "v1", "name": "second"}
    parse(model(trafficMatches=[first, second]))


@given(value=st.text("abc.;= ", max_size=12))
def test_a_cookie_is_found_by_the_expression_as_it_is_by_its_parts(value):
    """Among cookies as browsers send them: what has no '=' in it, or spaces at odd places, is none."""
    match = TrafficMatch.model_validate(cookie("a", "b.c"))
    _, _, expression = cookie_test("a", "b.c")
    sent = "; ".join(part.strip() for part in value.split(";"))
    assert (re.fullmatch(expression, sent) is not None) == match.takes({"cookie": sent})


def test_a_rule_says_its_arm_by_its_name():
    assert arm_of("search.ranker.0.testers") == "testers"
    assert {arm_of(name) for name in ("search.ranker.0", "search.ranker.12~sticky", "", "a.b", "a.b.c.d")} == {""}
