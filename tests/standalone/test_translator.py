"""One odd object costs itself only: everything else is translated, and what is left out is told once."""

import copy

import pytest

from k8s_manager.standalone.translator.ads import Ads
from k8s_manager.standalone.translator.config import Config, GatewayPod
from k8s_manager.standalone.translator.omissions import OmissionLog
from k8s_manager.standalone.translator.snapshot import CLUSTER, ENDPOINT, LISTENER, ORDER, ROUTE, snapshot
from tests.golden.case import CASES, rendered
from tests.support.envoy import config_of, running_envoy

POD = GatewayPod("gw", {"istio": "gw"}, "127.0.0.2")
HOST = "app.web.svc.cluster.local"


def obj(kind, spec, name="odd", namespace="web"):
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def service(name="app", ports=(9898,)):
    return obj("Service", {"ports": [{"name": f"http-{p}", "port": p} for p in ports]}, name)


def gateway(servers, name="public", namespace="gw"):
    return obj("Gateway", {"selector": {"istio": "gw"}, "servers": servers}, name, namespace)


def server(port=8080, protocol="HTTP", hosts=("*",), **more):
    return {"port": {"number": port, "name": f"p{port}", "protocol": protocol}, "hosts": list(hosts), **more}


def routed(http, name="odd", host="odd.example.com", **spec):
    return obj("VirtualService", {"hosts": [host], "gateways": ["gw/public"], "http": http, **spec}, name)


def to(host=HOST, port=9898, **more):
    return {"destination": {"host": host, "port": {"number": port}}, **more}


GOOD = routed([{"route": [to()]}], "good", "good.example.com")
RULE = obj("DestinationRule", {"host": HOST, "trafficPolicy": {"loadBalancer": {"simple": "LEAST_REQUEST"}}}, "good")


def config(*odd):
    found = {"Gateway": [gateway([server()])], "VirtualService": [], "DestinationRule": [RULE], "EnvoyFilter": []}
    found |= {"Service": [service()], "EndpointSlice": [], "Pod": [], "Secret": [], "Telemetry": []}
    for one in copy.deepcopy(odd):
        found[one["kind"]].append(one)
    found["VirtualService"].append(GOOD)
    return Config(*found.values())


def routes(made, host, port=8080):
    hosts = {
        host: found["routes"] for found in made[ROUTE][f"http.{port}"]["virtual_hosts"] for host in found["domains"]
    }
    return hosts.get(host, [])


KNOWN = [
    ("no port", [{"route": [{"destination": {"host": "app"}}]}], {"cluster": f"outbound|9898||{HOST}"}),
    ("a short name", [{"route": [to("app")]}], {"cluster": f"outbound|9898||{HOST}"}),
    ("a rewrite", [{"rewrite": {"uri": "/v2"}, "route": [to()]}], {"prefix_rewrite": "/v2"}),
]


@pytest.mark.parametrize("http, action", [case[1:] for case in KNOWN], ids=[case[0] for case in KNOWN])
def test_simple_forms_of_istio_are_translated(http, action):
    found = config(routed(http))
    (route,) = routes(snapshot(found, POD), "odd.example.com")
    assert action.items() <= route["route"].items()
    assert not found.omissions.found


MATCHES = [
    ({"uri": {"regex": "/v[0-9]+/.*"}}, {"safe_regex": {"regex": "/v[0-9]+/.*"}}),
    ({"headers": {"user": {"exact": "jo"}}}, {"prefix": "/"}),
    ({"headers": {"user": {}}}, {"headers": [{"name": "user", "present_match": True}]}),
    ({"method": {"exact": "GET"}}, {"headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}),
    ({"queryParams": {"v": {"exact": "2"}}}, {"query_parameters": [{"name": "v", "string_match": {"exact": "2"}}]}),
]


@pytest.mark.parametrize("match, envoys", MATCHES)
def test_matches_of_istio_are_translated(match, envoys):
    found = config(routed([{"match": [match], "route": [to()]}]))
    (route,) = routes(snapshot(found, POD), "odd.example.com")
    assert envoys.items() <= route["match"].items()
    assert not found.omissions.found


def test_a_redirect_and_a_direct_response_need_no_destination():
    http = [
        {"match": [{"uri": {"exact": "/old"}}], "redirect": {"uri": "/new", "redirectCode": 302}},
        {"directResponse": {"status": 503}},
    ]
    found = config(routed(http))
    old, rest = routes(snapshot(found, POD), "odd.example.com")
    assert old["redirect"] == {"path_redirect": "/new", "response_code": "FOUND"}
    assert rest["direct_response"] == {"status": 503}
    assert not found.omissions.found


def test_a_route_of_a_service_without_a_rule_has_a_cluster():
    found = config(service("bare", [80]), routed([{"route": [to("bare", 80)]}]))
    made = snapshot(found, POD)
    assert "outbound|80||bare.web.svc.cluster.local" in made[CLUSTER]
    assert "outbound|80||bare.web.svc.cluster.local" in made[ENDPOINT]


def test_a_rule_without_a_policy_has_subsets():
    rule = obj("DestinationRule", {"host": "app", "subsets": [{"name": "v1", "labels": {"app": "app"}}]})
    found = config(rule)
    assert f"outbound|9898|v1|{HOST}" in snapshot(found, POD)[CLUSTER]
    assert not found.omissions.found


def policy(**policy):
    return obj("DestinationRule", {"host": HOST, "trafficPolicy": policy})


def patched(apply_to, operation, value, **spec):
    patch = {"applyTo": apply_to, "patch": {"operation": operation, "value": value}}
    return obj("EnvoyFilter", {"configPatches": [patch], **spec}, namespace="gw")


ODD = [
    ("two ports", (service("two", [1, 2]), routed([{"route": [{"destination": {"host": "two"}}]}])), "spec.http[0].route.destination.port"),
    ("no Service", (routed([{"route": [{"destination": {"host": "none"}}]}]),), "there is no Service"),
    ("a delegate", (routed([{"delegate": {"name": "other"}}]),), "spec.http[0].delegate"),
    ("a route to nowhere", (routed([{"name": "x"}]),), "spec.http[0].route"),
    ("a list for a route", (routed([["x"]]),), "spec.http"),
    ("a mapping for http", (routed({"route": []}),), "spec.http"),
    ("a list for a uri", (routed([{"match": [{"uri": ["/x"]}], "route": [to()]}]),), "spec.http[0].match[0].uri"),
    ("a condition it does not know", (routed([{"match": [{"sourceLabels": {"a": "b"}}], "route": [to()]}]),), "match[0].sourceLabels"),
    ("a broken expression", (routed([{"match": [{"uri": {"regex": "("}}], "route": [to()]}]),), "match[0].uri"),
    ("an expression that looks around", (routed([{"match": [{"uri": {"regex": "(?=x)"}}], "route": [to()]}]),), "match[0].uri"),
    ("weights of nothing", (routed([{"route": [to(), to()]}]),), "add up to 0"),
    ("a fault", (routed([{"fault": {"abort": {}}, "route": [to()]}]),), "spec.http[0].fault"),
    ("a timeout of another type", (routed([{"timeout": 5, "route": [to()]}]),), "spec.http[0]"),
    ("a timeout without a unit", (routed([{"timeout": "5", "route": [to()]}]),), "5 is no duration"),
    ("hosts of another type", (routed([{"route": [to()]}], hosts="x"),), "spec.hosts"),
    ("gateways of another type", (obj("VirtualService", {"gateways": 3}),), "VirtualService web/odd: spec"),
    ("TCP and TLS", (routed(None, tls=[{}], tcp=[{}]),), "spec.tcp"),
    ("no spec", (obj("VirtualService", None),), "VirtualService web/odd: spec"),
    ("a list for a spec", (obj("DestinationRule", []),), "DestinationRule web/odd: spec"),
    ("a rule without a host", (obj("DestinationRule", {}),), "DestinationRule web/odd: spec"),
    ("a subset without a name", (obj("DestinationRule", {"host": HOST, "subsets": [{}]}),), "spec.subsets[0].name"),
    ("a balancer it does not know", (policy(loadBalancer={"simple": "PASSTHROUGH"}),), "spec.trafficPolicy.loadBalancer.simple"),
    ("a hash it does not know", (policy(loadBalancer={"consistentHash": {"useSourceIp": True}}),), "consistentHash"),
    ("TLS to pods", (policy(tls={"mode": "SIMPLE"}),), "spec.trafficPolicy.tls"),
    ("a list for a pool", (policy(connectionPool=[]),), "connectionPool"),
    ("a Gateway of TCP", (gateway([server(9000, "TCP")], "odd"),), "spec.servers[0].port.protocol"),
    ("a Gateway of TLS", (gateway([server(9443, "TLS", tls={"mode": "PASSTHROUGH"})], "odd"),), "spec.servers[0].port.protocol"),
    ("mutual TLS", (gateway([server(9443, "HTTPS", tls={"mode": "MUTUAL"})], "odd"),), "spec.servers[0].tls"),
    ("TLS on a plain port", (gateway([server(8080, "HTTPS", tls={"credentialName": "c"})], "z"),), "with TLS and without"),
    ("a server without a port", (gateway([{"hosts": ["*"]}], "odd"),), "spec.servers[0].port.number"),
    ("a Gateway without servers", (obj("Gateway", {"selector": {"istio": "gw"}, "servers": "x"}, namespace="gw"),), "spec.servers"),
    ("a selector of another type", (obj("Gateway", {"selector": ["x"]}, namespace="gw"),), "spec.selector"),
    ("a patch it does not know", (patched("VIRTUAL_HOST", "MERGE", {}),), "MERGE of VIRTUAL_HOST"),
    ("a patch of all routes", (patched("HTTP_ROUTE", "MERGE", {}),), "patches routes by their names only"),
    ("a filter of no name", (patched("HTTP_FILTER", "INSERT_BEFORE", {}),), "patch.value.name"),
    ("a patch that no cluster has", (patched("CLUSTER", "MERGE", {"connect_timeout": {}}),), "patch.value"),
    ("patches of another type", (obj("EnvoyFilter", {"configPatches": {}}, namespace="gw"),), "spec.configPatches"),
    ("a workload selector of another type", (obj("EnvoyFilter", {"workloadSelector": []}, namespace="gw"),), "workloadSelector"),
    ("traces of requests", (obj("Telemetry", {"selector": {}, "tracing": [{}]}, namespace="gw"),), "spec.tracing is left out: a standalone has no mesh"),
    ("a Service of odd ports", (obj("Service", {"ports": [3]}, "odd"), routed([{"route": [{"destination": {"host": "odd"}}]}])), "spec.http[0]"),
]  # fmt: skip


@pytest.mark.parametrize("odd, said", [case[1:] for case in ODD], ids=[case[0] for case in ODD])
def test_an_odd_object_costs_itself_only_and_is_told(odd, said):
    found = config(*odd)
    made = snapshot(found, POD)
    (route,) = routes(made, "good.example.com")
    assert route["route"]["cluster"] in made[CLUSTER]
    assert "0.0.0.0_8080" in made[LISTENER]
    assert [
        sentence for sentence in found.omissions.found if said in sentence and ("odd" in sentence or "gw/z" in sentence)
    ]
    ads = Ads(lambda _: made)
    packed = {kind: ads.packer.pack(kind, made[kind].values()) for kind in ORDER}
    assert [len(packed[kind]) for kind in ORDER] == [len(made[kind]) for kind in ORDER]


def test_a_route_of_an_odd_value_is_left_out_when_it_is_packed(caplog):
    made = snapshot(config(routed([{"directResponse": {"status": "x"}}, {"route": [to()]}])), POD)
    packer = Ads(lambda _: made).packer
    for _ in range(2):
        assert len(packer.pack(ROUTE, made[ROUTE].values())) == 1
    assert caplog.text.count("virtual-service/odd is left out") == 1


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_tidegate_renders_is_left_out(case):
    found = config_of(rendered(case))
    for gateway_ in found.gateways:
        snapshot(found, GatewayPod(gateway_["metadata"]["namespace"], gateway_["spec"]["selector"], "127.0.0.2"))
    assert found.omissions.found == set()


def test_what_is_left_out_is_told_once_while_it_lasts():
    log = OmissionLog()
    assert log.new("one", {"a"}) == ["a"]
    assert log.new("one", {"a", "b"}) == ["b"]
    assert log.new("two", {"a", "b"}) == []
    assert log.new("one", set()) == log.new("two", set()) == []
    assert log.new("one", {"a"}) == ["a"]


@pytest.mark.xdist_group("envoy")
async def test_envoy_loads_all_of_them_at_once(tmp_path):
    everything = [one for _, odd, _ in ODD for one in odd] + [routed(http) for _, http, _ in KNOWN]
    everything += [routed([{"match": [match], "route": [to()]}]) for match, _ in MATCHES]
    everything = copy.deepcopy(everything)
    for number, one in enumerate(everything):
        one["metadata"]["name"] += f"-{number}" if one["metadata"]["name"] == "odd" else ""
    async with running_envoy(tmp_path) as envoy:
        await envoy.load(snapshot(config(*everything), GatewayPod("gw", {"istio": "gw"}, envoy.address)))
        assert envoy.ads.rejections == []
