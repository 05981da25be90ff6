"""An HTTPRoute's requests are told by the names of its routes, in one bucket, and by nothing that an edit has left."""

import copy

from istio_templates import names
from istio_templates.envoy_filter import limits_of, slot_config
from istio_templates.facts import Bucket, GatewayPool, LimitKey, ObjectKey, SlotFacts

POOL = GatewayPool("shared", "inference-gw", (("istio", "shared"),), ())
BUCKET = Bucket(20, 1, 2)


def key(name, namespace="search", kind="HTTPRoute"):
    return names.route_identity(ObjectKey(kind, namespace, name))


def slot(*keys):
    return slot_config(SlotFacts(POOL, 9, tuple((found, BUCKET) for found in keys)))


def limiter(obj):
    return obj["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]


def expressions(obj):
    actions = [action for limit in limiter(obj)["rate_limits"] for action in limit["actions"]]
    return [action["extension"]["typed_config"]["text"] for action in actions if "extension" in action]


def test_limits_of_both_kinds_are_read_back_as_they_were_written():
    keys = [key("theirs"), key("theirs", kind="VirtualService"), key("a.b")]
    assert [found for found, _ in limits_of(slot(*keys))] == keys


def test_there_is_one_expression_for_each_route_and_none_without():
    assert expressions(slot(key("a", kind="VirtualService"))) == []
    found = expressions(slot(key("a"), key("b"), key("a").of_part(names.REQUESTS)))
    assert [text.rpartition("? ")[2] for text in found] == [f"'{key('a').route}' : ''", f"'{key('b').route}' : ''"]


def test_what_is_no_route_of_ours_is_not_taken_from_a_slot():
    for route in ("", "x", key("a").route + "' || true", key("a").route.replace("http-route", "grpc-route"), 7):
        obj = copy.deepcopy(slot(key("a")))
        limiter(obj)["descriptors"][0]["entries"][0]["value"] = route
        assert limits_of(obj) == ()
    assert LimitKey("'").place == ("", "'")
