"""Header names have no case: two that are the same header are rejected, and not the last one taken."""

import pytest

from istio_templates.documents import parse
from istio_templates.documents.crd import crds
from istio_templates.documents.fields import MOST_HEADERS
from istio_templates.errors import Invalid
from tests.support.documents import model

CHANGED = ("requestHeaders", "responseHeaders")
SAME = {"X-Team": "a", "x-team": "b"}
CASES = [
    ({"headers": SAME}, "spec.routes[0].headers"),
    ({"headers": {"x-TEAM": "a", "other": "1", "X-Team": "a"}}, "spec.routes[0].headers"),
    ({"requestHeaders": {"set": SAME}}, "spec.routes[0].requestHeaders.set"),
    ({"requestHeaders": {"add": SAME}}, "spec.routes[0].requestHeaders.add"),
    ({"requestHeaders": {"remove": ["X-Team", "x-team"]}}, "spec.routes[0].requestHeaders.remove"),
    ({"responseHeaders": {"set": SAME}}, "spec.routes[0].responseHeaders.set"),
    ({"responseHeaders": {"remove": ["a", "a"]}}, "spec.routes[0].responseHeaders.remove"),
]


def routed(**more) -> dict:
    raw = model()
    raw["spec"]["routes"][0].update(more)
    return raw


@pytest.mark.parametrize("more, field", CASES)
def test_two_spellings_of_one_header_are_rejected_with_their_field(more, field):
    with pytest.raises(Invalid) as caught:
        parse(routed(**more))
    (problem,) = caught.value.problems
    assert problem.field == field and "same header" in problem.message and "keep one" in problem.message


def test_different_headers_stay():
    route = parse(routed(headers={"X-A": "1", "x-b": "2"}, requestHeaders={"remove": ["A", "b"]})).spec.routes[0]
    assert (route.headers, route.request_headers.remove) == ({"x-a": "1", "x-b": "2"}, ("a", "b"))


@pytest.mark.parametrize("place", ["headers", *(f"{of}.{what}" for of in CHANGED for what in ("set", "add"))])
def test_the_api_server_rejects_them_too(place):
    (found,) = [crd for crd in crds() if crd["spec"]["names"]["kind"] == "Model"]
    spec = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema = spec["properties"]["routes"]["items"]
    for name in place.split("."):
        schema = schema["properties"][name]
    (rule,) = schema["x-kubernetes-validations"]
    assert "lowerAscii" in rule["rule"] and "same header" in rule["message"]
    assert schema["maxProperties"] == MOST_HEADERS, "without a bound the server takes no rule of that cost"


@pytest.mark.parametrize("place", ["headers", "requestHeaders"])
def test_a_map_has_as_many_headers_as_the_api_server_takes(place):
    for count in (MOST_HEADERS, MOST_HEADERS + 1):
        many = {f"x-{number}": "1" for number in range(count)}
        raw = routed(**{place: many if place == "headers" else {"set": many}})
        if count == MOST_HEADERS:
            assert parse(raw)
            continue
        with pytest.raises(Invalid, match="64"):
            parse(raw)
