"""Header names have no case: two that are the same header are rejected, and not the last one taken."""

import pytest

from istio_templates.documents import parse
from istio_templates.errors import Invalid
from tests.support.documents import model

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
