"""Documents for what is there: what they say, and that nothing is left out in silence."""

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents import parse
from k8s_manager.importers.propose import propose
from k8s_manager.importers.split_reader import rounded
from k8s_manager.offline.incremental_render import Rendering
from tests.gitops.existing import destination_rule, gateway, http_server, obj, route, service, virtual_service

CANARY = route(("ranker", "v1", 90), ("ranker", "v2", 10))
SITE = [gateway(), service(), destination_rule(), virtual_service(CANARY)]


def found(objects: list[dict], take_over: bool = False) -> tuple[dict, list[str]]:
    proposal = propose(copy.deepcopy(objects), take_over)
    return {(d["kind"], d["metadata"]["name"]): d["spec"] for d in proposal.told()}, list(map(str, proposal.notes))


def test_a_route_is_limited_where_it_is():
    documents, notes = found(SITE)
    assert documents == {
        ("InferenceGateway", "ingress"): {
            "namespace": "istio-ingress",
            "selector": {"istio": "ingress"},
            "listeners": [{"name": "http-8080", "port": 8080, "protocol": "HTTP"}],
        },
        ("Tenant", "search"): {
            "namespace": "search",
            "gateway": {"name": "ingress"},
            "hosts": [{"name": "search.example.com"}],
        },
        ("Model", "ranker"): {
            "attachTo": {"virtualService": "ranker"},
            "versions": [
                {"name": "v1", "existing": {"labels": {"app": "ranker", "version": "v1"}}},
                {"name": "v2", "existing": {"labels": {"app": "ranker", "version": "v2"}}},
            ],
            "traffic": [{"version": "v1", "weight": 90}, {"version": "v2", "weight": 10}],
        },
    }
    assert len(notes) == 3 and "its pods are taken to run in istio-ingress" in notes[0]
    assert "no limit is proposed" in notes[1] and notes[2].endswith(
        "hand it over: kubectl label namespace search tidegate.dev/tenant=search"
    )


def test_taken_over_it_has_its_own_routes_on_the_port_of_the_pods():
    more = {"timeout": "30s", "headers": {"request": {"set": {"x-team": "search"}}}}
    gold = {"uri": {"prefix": "/gold/"}, "headers": {"x-tier": {"exact": "gold"}}}
    routed = {**route(("ranker", "v1", 100), **more), "match": [{"uri": {"prefix": "/v2/models/ranker"}}, gold]}
    documents, notes = found(
        [gateway(), service(target=9000), destination_rule(), virtual_service(routed)], take_over=True
    )
    same = {
        "host": "search.example.com",
        "port": 9000,
        "timeout": "30s",
        "requestHeaders": {"set": {"x-team": "search"}},
    }
    assert documents["Model", "ranker"]["routes"] == [
        {**same, "path": "/v2/models/ranker"},
        {**same, "path": "/gold", "headers": {"x-tier": "gold"}},
    ]
    assert any("matched /v2/models/ranker-other too" in note for note in notes)
    assert any("is taken over as it is: look at `tidegate plan` first" in note for note in notes)


@pytest.mark.parametrize("take_over", [False, True])
def test_what_is_proposed_is_accepted_together(take_over: bool):
    documents = {}
    for raw in propose(copy.deepcopy(SITE), take_over).told():
        document = parse(raw)
        documents[document.key] = document
    assert len(documents) == 3
    assert Rendering().of(documents, dict.fromkeys(documents, "here")).findings == ()


@pytest.mark.parametrize(
    ("http", "said"),
    [
        ({**CANARY, "fault": {"delay": {}}}, "spec.http[0].fault: is not expressed"),
        ({**CANARY, "mirror": {"host": "x"}}, "spec.http[0].mirror: is not expressed"),
        ({**CANARY, "rewrite": {"uriRegexRewrite": {}}}, "spec.http[0].rewrite: uriRegexRewrite is not expressed"),
        ({**CANARY, "rewrite": {"uri": "/v1/"}}, "spec.http[0].rewrite: uri made two slashes of"),
        (
            {**CANARY, "rewrite": {"uri": "/a?b"}},
            "spec.http[0].rewrite: is not expressed: prefix: '/a?b' has characters",
        ),
        ({**CANARY, "rewrite": {"authority": "a.svc:80"}}, "spec.http[0].rewrite: is not expressed: host: "),
        ({**CANARY, "corsPolicy": {"allowOrigin": ["x"]}}, "spec.http[0].corsPolicy: is not expressed: allowOrigins.0"),
        ({**CANARY, "corsPolicy": {"allowOrigin": ["*"]}}, "spec.http[0].corsPolicy: let preflights of other origins"),
        ({**CANARY, "retries": {"attempts": 3}}, "spec.http[0].retries: is not expressed"),
        ({**CANARY, "corsPolicy": {}}, "spec.http[0].corsPolicy: is not expressed"),
        ({**CANARY, "match": [{"uri": {"regex": "/a.*"}}]}, "spec.http[0].match[0]: is not expressed: uri.regex"),
        ({**CANARY, "match": [{"method": {"exact": "POST"}}]}, "spec.http[0].match[0]: is not expressed: method"),
        (
            {**CANARY, "match": [{"headers": {"a": {"regex": "b"}}}]},
            "spec.http[0].match[0]: is not expressed: headers.a",
        ),
        ({**CANARY, "match": [{"uri": {"exact": "/a"}}]}, "spec.http[0].match[0]: matched /a alone"),
        ({"match": [], "redirect": {"uri": "/"}}, "spec.http[1]: is not expressed: it goes to no Service"),
    ],
)
def test_what_a_route_cannot_say_is_listed(http: dict, said: str):
    routes = [http] if "route" in http else [CANARY, http]
    _, notes = found([gateway(), service(), destination_rule(), virtual_service(*routes)], take_over=True)
    assert any(note.startswith(f"VirtualService search/ranker: {said}") for note in notes), notes


REWRITES = [
    ({"prefix": "/chat"}, {"uri": "/v1"}, {"prefix": "/v1"}),
    ({"prefix": "/chat/"}, {"uri": "/v1/"}, {"prefix": "/v1"}),
    ({"prefix": "/chat/"}, {"uri": "/"}, {"prefix": "/"}),
    ({"prefix": "/chat"}, {"uri": "/", "authority": "llm.example.com"}, {"host": "llm.example.com", "prefix": "/"}),
    ({"prefix": "/"}, {"uri": "/v1/"}, {"prefix": "/v1"}),
    ({"exact": "/chat"}, {"uri": "/v1/chat/completions"}, {"path": "/v1/chat/completions"}),
    ({"prefix": "/chat/"}, {"uri": "/v1"}, None),
    ({"prefix": "/"}, {"uri": "/v1"}, None),
]


@pytest.mark.parametrize(("uri", "theirs", "ours"), REWRITES)
def test_a_rewrite_is_taken_over_where_a_route_means_the_same(uri: dict, theirs: dict, ours: dict | None):
    http = {**CANARY, "match": [{"uri": uri}], "rewrite": theirs}
    documents, notes = found([*SITE[:3], virtual_service(http)], take_over=True)
    assert documents["Model", "ranker"]["routes"][0].get("rewrite") == ours
    assert (ours is None) == any("stands for" in note for note in notes)


def test_a_cors_policy_is_taken_over():
    policy = {"allowOrigins": [{"exact": "https://app.example.com"}], "maxAge": "24h", "allowMethods": ["POST"]}
    http = {**CANARY, "corsPolicy": {**policy, "unmatchedPreflights": "IGNORE"}}
    documents, notes = found([*SITE[:3], virtual_service(http)], take_over=True)
    assert documents["Model", "ranker"]["routes"][0]["cors"] == policy
    assert not any("corsPolicy" in note for note in notes)


def test_what_a_virtual_service_has_beside_http_is_listed():
    _, notes = found(
        [gateway(), service(), destination_rule(), virtual_service(CANARY, tcp=[{}], tls=[{}])], take_over=True
    )
    assert {f"VirtualService search/ranker: spec.{kind}: is not expressed" for kind in ("tcp", "tls")} <= set(notes)


def test_what_nobody_serves_or_leads_nowhere_is_not_proposed():
    inside = virtual_service(CANARY, gateways=["mesh"])
    documents, notes = found([gateway(), inside])
    assert list(documents) == [("InferenceGateway", "ingress")]
    assert any("sidecars go on as they are" in n for n in notes) and any(
        "no gateway that was read serves it" in n for n in notes
    )
    documents, notes = found([*SITE[:3], virtual_service(CANARY, hosts=["*"])], take_over=True)
    assert ("Model", "ranker") not in documents and any("* is not one full host" in n for n in notes)
    _, notes = found([virtual_service(CANARY)])
    assert any("Gateway istio-ingress/ml is not among what was read" in n for n in notes)


def test_a_host_of_two_namespaces_is_one_tenants_who_lends_the_other_its_paths():
    other = virtual_service(
        route(("s", "", 100), prefix="/s/"), name="s", namespace="ads", hosts=["search.example.com"]
    )
    documents, notes = found([*SITE, other])
    assert documents["Tenant", "ads"]["hosts"] == [
        {"name": "search.example.com", "delegations": [{"path": "/v2/models/ranker", "tenant": "search"}]}
    ]
    assert any("is routed from ads, search" in note for note in notes)
    assert documents["Tenant", "search"]["hosts"] == []
    assert any("Tenant search: spec.hosts: is empty: name the hosts" in note for note in notes)


def test_certificates_become_listeners_and_claims():
    wild = {
        "port": {"number": 8443, "protocol": "HTTPS"},
        "hosts": ["*.example.com"],
        "tls": {"mode": "SIMPLE", "credentialName": "wild"},
    }
    own = {"port": {"number": 9443, "protocol": "HTTPS"}, "hosts": ["search/search.example.com"],
           "tls": {"mode": "SIMPLE", "credentialName": "own", "minProtocolVersion": "TLSV1_3"}}  # fmt: skip
    mutual = {
        "port": {"number": 7443, "protocol": "HTTPS"},
        "hosts": ["*"],
        "tls": {"mode": "MUTUAL", "credentialName": "m"},
    }
    tcp = {"port": {"number": 5432, "protocol": "TCP"}, "hosts": ["*"]}
    documents, notes = found([gateway(http_server(), wild, own, mutual, tcp), *SITE[1:]])
    assert documents["InferenceGateway", "ingress"]["listeners"][1:] == [
        {"name": "https-8443", "port": 8443, "protocol": "HTTPS", "domain": "example.com", "credentialName": "wild"},
        {"name": "https-9443", "port": 9443, "protocol": "HTTPS"},
    ]
    assert documents["Tenant", "search"]["hosts"] == [{"name": "search.example.com", "tls": {"credentialName": "own"}}]
    told = "\n".join(notes)
    assert "spec.servers[2].tls.minProtocolVersion: is not expressed" in told
    assert "spec.servers[3].tls: is not expressed: HTTPS needs mode SIMPLE" in told
    assert "TCP on port 5432 is not served" in told


def https(hosts: list[str], secret: str, number: int = 8443) -> dict:
    tls = {"mode": "SIMPLE", "credentialName": secret}
    return {"port": {"number": number, "protocol": "HTTPS"}, "hosts": hosts, "tls": tls}


def test_several_certificates_of_one_port_become_several_listeners():
    servers = (
        https(["*.a.example.com"], "a"),
        https(["search/*.b.example.com", "ads/*.b.example.com", "*.c.example.com"], "bc"),
        https(["search.example.com"], "own"),
        https(["*.a.example.com"], "other"),
        http_server(8443),
    )
    documents, notes = found([gateway(http_server(), *servers), *SITE[1:]])
    listeners = documents["InferenceGateway", "ingress"]["listeners"][1:]
    assert [(one["name"], one.get("domain"), one.get("credentialName")) for one in listeners] == [
        ("https-8443", "a.example.com", "a"),
        ("https-8443-b-example-com", "b.example.com", "bc"),
        ("https-8443-c-example-com", "c.example.com", "bc"),
        ("https-8443-own", None, None),
    ]
    assert {one["port"] for one in listeners} == {8443}
    assert documents["Tenant", "search"]["hosts"] == [{"name": "search.example.com", "tls": {"credentialName": "own"}}]
    told = "\n".join(notes)
    assert "spec.servers[4]: *.a.example.com is served by listener https-8443 already" in told
    assert "spec.servers[5]: port 8443 is another listener already" in told


def test_pods_of_a_service_that_was_not_read_are_a_guess_that_is_told():
    documents, notes = found(
        [gateway(), virtual_service(route(("far.other.svc.cluster.local", "", 100)))], take_over=True
    )
    (version,) = documents["Model", "ranker"]["versions"]
    assert version == {"name": "v1", "existing": {"labels": {"app": "far"}}}
    assert any("Service far.other.svc.cluster.local was not read" in n for n in notes)
    assert any(
        "which port the pods of far.other.svc.cluster.local listen on is not known; 80 is proposed" in n for n in notes
    )


def told(objects: list[dict], take_over: bool = False) -> str:
    return "\n".join(found(objects, take_over)[1])


def test_what_would_be_rejected_is_left_out_with_all_that_depends_on_it():
    inside = gateway(namespace="kube-edge")
    site = [inside, service(), destination_rule(), virtual_service(CANARY, gateways=["kube-edge/ml"])]
    documents, notes = found(site)
    assert documents == {}
    for said in (
        "InferenceGateway ingress: spec.namespace: is not proposed: namespace kube-edge is reserved for the cluster",
        "Tenant search: spec.gateway.name: is not proposed: gateway 'ingress' does not exist",
        "Model search/ranker: metadata.namespace: is not proposed: namespace search belongs to no tenant",
    ):
        assert any(note.startswith(said) for note in notes), (said, notes)


def test_routes_to_another_service_are_not_led_to_this_one():
    both = virtual_service(route(("ranker", "v1", 100)), route(("emb", "", 100), prefix="/v2/models/emb"))
    documents, notes = found([gateway(), service(), destination_rule(), both], take_over=True)
    assert [r["path"] for r in documents["Model", "ranker"]["routes"]] == ["/v2/models/ranker"]
    assert any("spec.http[1]: is not expressed: it goes to emb; make a Model for that" in note for note in notes)


def test_pods_that_are_not_where_the_model_is_and_subsets_that_were_not_read_are_told():
    away = virtual_service(route(("ranker.models.svc.cluster.local", "", 100)))
    assert "is a Service of models" in told([gateway(), service(namespace="models"), away])
    assert "subset v1 of ranker was not read" in told([gateway(), service(), virtual_service(CANARY)])
    other = destination_rule(namespace="other")
    assert "subset v1 of ranker was not read" in told([gateway(), service(), other, virtual_service(CANARY)])


def test_fields_of_destination_rules_and_targets_that_are_left_out_are_told():
    rule = destination_rule()
    rule["spec"] |= {"trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}}
    rule["spec"]["subsets"][0]["trafficPolicy"] = {}
    routed = route(("ranker", "v1", 100))
    routed["route"][0]["headers"] = {}
    notes = told([gateway(), service(), rule, virtual_service(routed, exportTo=["."])], take_over=True)
    for said in (
        "DestinationRule search/ranker: spec.trafficPolicy",
        "spec.subsets[v1].trafficPolicy",
        "spec.http[0].route[0].headers",
        "spec.exportTo",
    ):
        assert f"{said}: is not expressed" in notes, said


def test_grpc_is_spoken_where_the_port_says_so():
    speaking = service()
    speaking["spec"]["ports"][0]["name"] = "grpc-infer"
    documents, _ = found([gateway(), speaking, destination_rule(), virtual_service(CANARY)], take_over=True)
    assert documents["Model", "ranker"]["routes"][0]["protocol"] == "grpc"


def test_routes_that_become_one_and_another_order_are_told():
    twice = {**CANARY, "match": [{"uri": {"prefix": "/a"}}, {"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a/"}}]}
    first = {**CANARY, "match": [{"uri": {"prefix": "/"}}, {"uri": {"prefix": "/x/"}}]}
    documents, notes = found([gateway(), service(), destination_rule(), virtual_service(twice, first)], take_over=True)
    assert [r["path"] for r in documents["Model", "ranker"]["routes"]] == ["/a", "/", "/x"]
    assert sum("routes /a twice" in note for note in notes) == 2
    assert any("an earlier route covers /x" in note for note in notes)


def test_two_objects_of_one_name_and_gateways_of_one_label_are_told_apart():
    objects = [gateway(name=name) for name in ("a", "b", "c")]
    for number, obj_ in enumerate(objects):
        obj_["spec"]["selector"] = {"istio": "ingress", "n": str(number)}
    assert [name for kind, name in found(objects)[0]] == ["ingress", "ingress-istio-ingress", "ingress-istio-ingress-2"]
    mesh = obj("serving.kserve.io/v1beta1", "InferenceService", "iris", "search", KSERVE)
    routed = [virtual_service(CANARY, name=name) for name in ("iris", "iris-http")]
    assert "Model search/iris: is proposed for two objects of that name" in told([mesh, seldon(SELDON), *routed])


def test_keys_that_are_no_texts_are_read_too():
    odd = {**CANARY, "match": [{1: 2, "b": 3}, {"headers": {True: {"exact": "a"}, 5: {}}}]}
    assert "spec.http[0].match[0]: is not expressed: 1, b" in told(
        [gateway(), service(), destination_rule(), virtual_service(odd)], True
    )


def seldon(*predictors: dict) -> dict:
    return obj("machinelearning.seldon.io/v1", "SeldonDeployment", "iris", "search", {"predictors": list(predictors)})


def test_a_seldon_deployment_is_limited_at_its_own_route():
    main = {"name": "main", "replicas": 2, "traffic": 75, "graph": {"name": "m", "children": [{"name": "post"}]}}
    shadow = {"name": "copy", "shadow": True, "graph": {"name": "m"}}
    canary = {"name": "canary", "traffic": 25, "graph": {"name": "m"}, "explainer": {}}
    routed = virtual_service(route(("iris-main", "", 100), prefix="/seldon/search/iris/"), name="iris-http")
    documents, notes = found([gateway(), routed, seldon(main, shadow, canary)])
    assert ("Model", "iris-http") not in documents and documents["Tenant", "search"]["hosts"] == [
        {"name": "search.example.com"}
    ]
    assert documents["Model", "iris"] == {
        "attachTo": {"virtualService": "iris-http"},
        "versions": [
            {"name": "main", "existing": {"labels": {"seldon-app": "iris-main"}}},
            {"name": "canary", "existing": {"labels": {"seldon-app": "iris-canary"}}},
        ],
        "traffic": [{"version": "main", "weight": 75}, {"version": "canary", "weight": 25}],
    }
    told = "\n".join(notes)
    for said in (
        "predictors[1]: is a shadow",
        "predictors[0].graph: calls post",
        "predictors[2].explainer: is not expressed",
        "over gRPC",
    ):
        assert said in told


def test_an_inference_service_is_limited_at_its_own_route():
    spec = {"predictor": {"minReplicas": 1, "canaryTrafficPercent": 10, "model": {}}, "transformer": {}}
    routed = virtual_service(route(("iris", "", 100)), name="iris")
    documents, notes = found(
        [gateway(), routed, obj("serving.kserve.io/v1beta1", "InferenceService", "iris", "search", spec)]
    )
    assert documents["Model", "iris"]["attachTo"] == {"virtualService": "iris"}
    (version,) = documents["Model", "iris"]["versions"]
    assert version["existing"]["labels"] == {"serving.kserve.io/inferenceservice": "iris", "component": "predictor"}
    told = "\n".join(notes)
    for said in (
        "spec.transformer: is not expressed",
        "canaryTrafficPercent: is not expressed",
        "keeps its autoscaler",
    ):
        assert said in told


def test_lists_are_read_and_tidegates_own_objects_and_other_kinds_are_not():
    own = virtual_service(CANARY, name="own")
    own["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "tidegate"}
    pod = obj("v1", "Pod", "p", "search", {})
    documents, notes = found([{"kind": "List", "apiVersion": "v1", "items": [*SITE, own, pod]}])
    assert ("Model", "own") not in documents and ("Model", "ranker") in documents
    assert "Pod p: is of no kind that is read" in notes


def test_a_name_that_no_document_may_have_is_a_note():
    documents, notes = found([gateway(), service(), virtual_service(CANARY, name="ranker.v2")])
    assert not any(kind == "Model" for kind, _ in documents)
    assert any("ranker.v2: metadata.name: is not proposed" in note for note in notes)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(lambda weights: sum(weights) > 0))
def test_rounded_shares_add_up_and_keep_their_order(weights: list[int]):
    from fractions import Fraction

    shares = [Fraction(100 * weight, sum(weights)) for weight in weights]
    whole = rounded(shares)
    assert sum(whole) == 100 and all(abs(found - share) < 1 for found, share in zip(whole, shares, strict=True))
    ordered = [found for _, found in sorted(zip(shares, whole, strict=True))]
    assert all(a <= b for a, b in pairwise(ordered))


ODD = (None, True, 5, -1, "", "x", "../x", [], [5], ["x"], [None], {}, {"a": 1}, [{}], {"number": "x"})
SELDON = {"name": "main", "replicas": 2, "traffic": 75, "graph": {"name": "m", "children": [{"name": "post"}]}}
KSERVE = {"predictor": {"minReplicas": 1, "canaryTrafficPercent": 10, "model": {}}, "transformer": {}}


PARENT = {"namespace": "odd", "name": "gw"}
BACKENDS = [{"name": "odd", "port": 80, "weight": 1}, {"kind": "InferencePool", "name": "odd"}]
ANSWER = {"parentRef": PARENT, "controllerName": "istio.io/c", "conditions": [{"type": "Accepted", "status": "True"}]}
SERVED = {
    "gatewayClassName": "istio",
    "listeners": [{"name": "h", "port": 80, "protocol": "HTTP", "tls": {"mode": "x"}}],
}
GATEWAY_API = [
    obj("gateway.networking.k8s.io/v1", "Gateway", "gw", "odd", {**SERVED, "addresses": [{"value": "odd"}]}),
    obj("gateway.networking.k8s.io/v1", "GRPCRoute", "odd", "odd", {"rules": [{"name": "a.b.1"}]}),
    obj("inference.networking.k8s.io/v1", "InferencePool", "odd", "odd", {"selector": {"matchLabels": {"app": "odd"}}}),
    {
        **obj("gateway.networking.k8s.io/v1", "HTTPRoute", "odd", "odd", {}),
        "spec": {"parentRefs": [PARENT], "hostnames": ["a.example.com"], "rules": [{"backendRefs": BACKENDS}]},
        "status": {"parents": [ANSWER]},
    },
]


def paths(value: object) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to every part of a value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in parts:
        yield (name,)
        yield from ((name, *rest) for rest in paths(inner))


@pytest.mark.parametrize("take_over", [False, True])
def test_objects_of_any_shape_are_read_or_noted_and_never_stop_the_others(take_over: bool):
    """Every part of every object in turn is made into something that it never is."""
    more = {"timeout": "1s", "headers": {"request": {"set": {"a": "b"}}}}
    routed = virtual_service({**CANARY, **more}, name="odd", namespace="odd")
    mesh = obj("serving.kserve.io/v1beta1", "InferenceService", "iris", "odd", KSERVE)
    own = {
        "port": {"number": 1, "protocol": "HTTPS"},
        "hosts": ["a/b.c"],
        "tls": {"mode": "SIMPLE", "credentialName": "x"},
    }
    odd = [
        gateway(http_server(), own, name="odd"),
        service("odd", "odd"),
        destination_rule("odd", "odd"),
        routed,
        virtual_service(CANARY, name="iris", namespace="odd"),
        virtual_service(CANARY, name="iris-http", hosts=["iris.example.com"]),
        seldon(SELDON),
        mesh,
        *GATEWAY_API,
    ]
    tried = 0
    for there in odd if not take_over else odd[: -len(GATEWAY_API)]:  # HTTPRoutes stay where they are
        read = {name: there[name] for name in ("spec", "status") if name in there}
        for way in paths({**read, "metadata": {"labels": {"a": "b"}}}):
            for value in ODD:
                changed: dict = {**copy.deepcopy(there), "metadata": {**there["metadata"], "labels": {"a": "b"}}}
                place: Any = changed
                for step in way[:-1]:
                    place = place[step]
                place[way[-1]] = value
                documents, _ = found([*SITE, *(o for o in odd if o is not there), changed], take_over)
                assert ("Model", "ranker") in documents, (way, value)
                tried += 1
    assert tried > 1000


@pytest.mark.parametrize(
    "name, namespace",
    [
        ("gw", "search"),
        ("./gw", "search"),
        ("istio-ingress/gw", "istio-ingress"),
        ("gw.istio-ingress", "istio-ingress"),
        ("gw.istio-ingress.svc.cluster.local", "istio-ingress"),
    ],
)
def test_a_gateway_is_found_by_any_of_istios_names(name: str, namespace: str):
    there = gateway()
    there["metadata"] |= {"name": "gw", "namespace": namespace}
    documents, notes = found([there, service(), destination_rule(), virtual_service(CANARY, gateways=[name])])
    assert ("Model", "ranker") in documents
    assert not any("is not among what was read" in note for note in notes)
