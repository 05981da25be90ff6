"""Rules of others before the one with the weights become `trafficMatches`, and what Tidegate writes comes back."""

import copy
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from istio_templates.documents import load
from istio_templates.documents.arms.traffic_match import MOST_MATCHES
from istio_templates.errors import Invalid
from k8s_manager.importers.propose import propose
from k8s_manager.importers.traffic_matches import cookie_of
from k8s_manager.offline.offline_world import manifests
from tests.gitops.existing import destination_rule, gateway, service, virtual_service

KINDS = ("Gateway", "VirtualService", "DestinationRule", "Service")
COOKIES = [
    r"^(.*?;)?(arm=b)(;.*)?$",
    r"^(.*;.)?(arm=b)(;.*)?$",
    r"(.*; ?)?arm=b(;.*)?",
    r"^(.*?;\s*)?(arm=b)(;.*)?$",
    r"^(?:.*; )?arm=b(?:;.*)?$",
]


@pytest.mark.parametrize("regex", COOKIES)
def test_a_cookie_among_others_is_read(regex: str):
    assert cookie_of({"regex": regex}) == {"name": "arm", "value": "b"}
    assert re.fullmatch(regex, "arm=b") and re.fullmatch(regex, "arm=b; a=1")


@pytest.mark.parametrize(
    "test",
    [
        {"regex": ".*arm=b.*"},
        {"regex": "^(.*?;)?(arm=.)(;.*)?$"},
        {"regex": "^(.*?;)?(arm=a|b)(;.*)?$"},
        {"regex": "^(.*?;)?(arm=[ab]+)(;.*)?$"},
        {"regex": "^(.*?;)?arm=b$"},
        {"prefix": "arm=b"},
        {"exact": "arm=b; a=1"},
        {},
    ],
)
def test_what_is_about_more_than_one_cookie_is_not(test: dict[str, str]):
    assert cookie_of(test) is None


names, values = (
    st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True),
    st.from_regex(r"[a-z0-9.~+/=-]{1,9}", fullmatch=True),
)
tests = st.builds(lambda how, text: {how: text}, st.sampled_from(["exact", "prefix"]), values)
matches = st.one_of(
    st.dictionaries(names.map(lambda name: f"x-{name}"), tests, min_size=1, max_size=3).map(lambda h: {"headers": h}),
    st.builds(lambda name, value: {"cookie": {"name": name, "value": value}}, names, values),
)


DOCUMENTS = """
apiVersion: tidegate.dev/v1alpha1
kind: InferenceGateway
metadata: {name: shared}
spec: {namespace: istio-ingress, selector: {istio: ingress}, listeners: [{name: http, port: 8080, protocol: HTTP}]}
---
apiVersion: tidegate.dev/v1alpha1
kind: Tenant
metadata: {name: search}
spec: {gateway: {name: shared}, hosts: [{name: ranker.example.com}]}
---
apiVersion: tidegate.dev/v1alpha1
kind: Model
metadata: {name: ranker, namespace: search}
spec:
  routes:
  - {host: ranker.example.com, path: /v2/models/ranker, port: 8080}
  - {host: ranker.example.com, path: /v1/rank, port: 8080}
  versions:
  - {name: v1, existing: {labels: {app: ranker, version: v1}}}
  - {name: v2, existing: {labels: {app: ranker, version: v2}}}
  traffic: [{version: v1, weight: 100}]
"""


def written(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the objects that Tidegate writes for a model with some matches, as if others had written them."""
    documents = load(DOCUMENTS)
    documents[-1]["spec"]["trafficMatches"] = found
    objects = [one for one in manifests(documents) if one["kind"] in KINDS]
    for one in objects:
        one["metadata"] = {name: one["metadata"][name] for name in ("name", "namespace")}
    return objects


@given(st.lists(matches, min_size=1, max_size=4), st.booleans())
def test_matches_that_tidegate_writes_come_back(found: list[dict[str, Any]], is_named: bool):
    named = [
        {**({"name": f"arm-{number}"} if is_named else {"name": "v2"}), **match, "version": "v2"}
        for number, match in enumerate(found)
    ]
    try:
        objects = written(named)
    except Invalid:
        assume(False)
    proposal = propose(objects, take_over=True)
    (model,) = [document for document in proposal.told() if document["kind"] == "Model"]
    assert model["spec"]["trafficMatches"] == named, proposal.notes
    assert model["spec"]["traffic"] == [{"version": "v1", "weight": 100}]
    assert [str(note) for note in proposal.notes if "a match" in note.said] == []


def rule(version: str, *asked: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a rule that brings requests to a subset."""
    return {"match": list(asked), "route": [{"destination": {"host": "ranker", "subset": version}}], **more}


def imported(*rules: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    objects = [gateway(), service(), destination_rule(), virtual_service(*rules)]
    proposal = propose(copy.deepcopy(objects), take_over=True)
    models = [document["spec"] for document in proposal.told() if document["kind"] == "Model"]
    return models[0] if models else {}, [f"{note.field}: {note.said}" for note in proposal.notes]


A, B = {"uri": {"prefix": "/a/"}}, {"uri": {"prefix": "/b/"}}
ARM = {"headers": {"x-arm": {"exact": "b"}}}


def test_a_match_on_one_route_of_two_is_proposed_with_a_note():
    spec, notes = imported(rule("v2", A | ARM), rule("v1", A), rule("v1", B))
    assert spec["trafficMatches"] == [{**ARM, "version": "v2"}]
    assert "spec.http[0].match[0]: took requests of some routes alone" in " ".join(notes)
    spec, notes = imported(rule("v2", A | ARM), rule("v2", B | ARM), rule("v1", A), rule("v1", B))
    assert spec["trafficMatches"] == [{**ARM, "version": "v2"}]
    assert "some routes alone" not in " ".join(notes), "both together took requests of all"


def test_a_rule_with_headers_and_the_same_split_stays_a_route():
    spec, _ = imported(rule("v1", A | ARM, timeout="3s"), rule("v1", A))
    assert "trafficMatches" not in spec and spec["routes"][0]["headers"] == {"x-arm": "b"}


def test_a_header_that_a_route_asks_for_is_no_match():
    spec, notes = imported(rule("v2", A | ARM), rule("v1", A), rule("v1", B | {"headers": {"x-arm": {"exact": "c"}}}))
    assert "trafficMatches" not in spec and len(spec["routes"]) == 2
    assert "is not expressed: a route asks for header x-arm itself" in " ".join(notes)


def test_a_model_has_as_many_matches_as_a_document_may_have():
    asked = [A | {"headers": {"x-arm": {"exact": str(number)}}} for number in range(MOST_MATCHES + 1)]
    spec, notes = imported(rule("v2", *asked), rule("v1", A))
    assert len(spec["trafficMatches"]) == MOST_MATCHES
    assert "is not expressed: a model has at most 8 matches" in " ".join(notes)
