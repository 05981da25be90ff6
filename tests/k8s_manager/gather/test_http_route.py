"""HTTPRoutes and Gateways as the Gateway API and Istio read them."""

import pytest

from k8s_manager.gather.http_route import answers_of, gateways_of, services_of, splits_of, taken_names
from k8s_manager.kube.shapes import fit


def http_route(rules=(), kind="HTTPRoute", parents=(), status=()):
    spec = {"parentRefs": list(parents), "rules": list(rules)}
    metadata = {"name": "theirs", "namespace": "search"}
    return {"kind": kind, "metadata": metadata, "spec": spec, "status": {"parents": list(status)}}


def gateway(*addresses):
    metadata = {"name": "edge", "namespace": "edge-gw"}
    return {"kind": "KubernetesGateway", "metadata": metadata, "spec": {"addresses": list(addresses)}}


SPLITS = [
    ("a backend without a weight counts once", [{"name": "a"}], ((("a.search", "", 1),),)),
    ("two backends share", [{"name": "a", "weight": 9}, {"name": "b"}], ((("a.search", "", 9), ("b.search", "", 1)),)),
    ("one without weight gets nothing", [{"name": "a"}, {"name": "b", "weight": 0}], ((("a.search", "", 1),),)),
    ("another namespace", [{"name": "a", "namespace": "far"}], ((("a.far", "", 1),),)),
    ("one backend twice", [{"name": "a", "weight": 2}, {"name": "a", "weight": 3}], ((("a.search", "", 5),),)),
    ("no Service", [{"kind": "InferencePool", "name": "llm"}], ((("InferencePool llm", "", 1),),)),
    ("nothing at all", [], ()),
    ("weights of nothing only", [{"name": "a", "weight": 0}], ()),
]


@pytest.mark.parametrize("backends, found", [case[1:] for case in SPLITS], ids=[case[0] for case in SPLITS])
def test_backends_are_read_with_their_defaults(backends, found):
    assert splits_of(http_route([{"backendRefs": backends}, {"filters": [{"type": "RequestRedirect"}]}])) == found


def test_parents_are_gateways_of_the_gateway_api_only():
    parents = [
        {"name": "edge"},
        {"name": "edge", "sectionName": "second"},
        {"name": "far", "namespace": "other"},
        {"group": "", "kind": "Service", "name": "mesh"},
        {"kind": "ListenerSet", "name": "set"},
    ]
    assert gateways_of(http_route(parents=parents)) == ("search/edge", "other/far")


def test_only_what_istio_answers_counts():
    def answer(name, controller, status, message=""):
        condition = {"type": "Accepted", "status": status, "message": message}
        return {"parentRef": {"name": name}, "controllerName": controller, "conditions": [condition]}

    status = [
        answer("a", "istio.io/gateway-controller", "True"),
        answer("b", "istio.io/gateway-controller", "False", "no listener"),
        answer("c", "gateway.envoyproxy.io/gatewayclass-controller", "True"),
    ]
    assert list(answers_of(http_route(status=status))) == [("search/a", None), ("search/b", "no listener")]


NAMES = [
    ("an HTTPRoute is named after itself, which takes nothing", http_route([{}]), []),
    ("a GRPCRoute of the same name", http_route([{}], "GRPCRoute"), [("search", "theirs")]),
    ("a GRPCRoute whose rules all have names", http_route([{"name": "x"}], "GRPCRoute"), []),
    ("a rule named like a route", http_route([{"name": "far.chat.0"}]), [("far", "chat")]),
    ("an HTTPRoute with a dot", http_route([{"name": "far.chat.v2.15"}]), [("far", "chat.v2")]),
    ("a rule with a name of its own", http_route([{"name": "predict"}]), []),
    ("a number of three digits is none of a rule", http_route([{"name": "far.chat.100"}]), []),
]


@pytest.mark.parametrize("obj, taken", [case[1:] for case in NAMES], ids=[case[0] for case in NAMES])
def test_names_that_istio_gives_twice_are_found(obj, taken):
    assert list(taken_names(obj)) == taken


SERVICES = [
    ("none", (), None),
    ("an address of its own pods", ({"value": "10.0.0.1"},), None),
    ("a short name", ({"type": "Hostname", "value": "gw"},), [("edge-gw", "gw")]),
    ("a full name", ({"type": "Hostname", "value": "gw.far.svc.cluster.local"},), [("far", "gw")]),
    ("two", ({"type": "Hostname", "value": "a"}, {"type": "IPAddress", "value": "10.0.0.1"}), [("edge-gw", "a")]),
]


@pytest.mark.parametrize("addresses, found", [case[1:] for case in SERVICES], ids=[case[0] for case in SERVICES])
def test_a_gateway_leads_to_the_services_that_it_names(addresses, found):
    services = services_of(gateway(*addresses))
    assert found == (None if services is None else [(key.namespace, key.name) for key in services])


ODD = [
    http_route([{"backendRefs": "x"}, {"backendRefs": [{"weight": 3}, 7]}]),
    http_route(status=[{"controllerName": "istio.io/x"}, {"parentRef": {"name": "a"}, "conditions": [{}]}, None]),
    {"kind": "HTTPRoute", "metadata": {"name": "a", "namespace": "b"}, "spec": [], "status": 3},
    {"kind": "HTTPRoute", "metadata": {"name": "a", "namespace": "b"}},
]


@pytest.mark.parametrize("obj", ODD)
def test_odd_routes_fail_nothing(obj):
    found, _ = fit(obj)
    assert (splits_of(found), gateways_of(found), list(answers_of(found)), list(taken_names(found))) == ((), (), [], [])
