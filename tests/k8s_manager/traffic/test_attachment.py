"""Which version a destination of an attached VirtualService belongs to, and what split follows."""

import pytest

from istio_templates.documents import parse
from istio_templates.virtual_service import splits_of
from k8s_manager.traffic.attachment import observed_traffic
from k8s_manager.traffic.weights import declared
from k8s_manager.world.world import Destination
from tests.support.documents import API


def spec_of(*labels, traffic=(100, 0)):
    versions = [{"name": f"v{n}", "existing": {"labels": found}} for n, found in enumerate(labels, 1)]
    shares = [{"version": v["name"], "weight": w} for v, w in zip(versions, traffic, strict=False)]
    spec = {"attachTo": {"virtualService": "fx"}, "versions": versions, "traffic": shares}
    return parse({"apiVersion": API, "kind": "Model", "metadata": {"name": "m", "namespace": "s"}, "spec": spec}).spec


def to(weight, labels=None, host="h", subset="", pods=()):
    known = None if labels is None else frozenset(labels.items())
    return Destination(host, subset, weight, known, frozenset(frozenset(pod.items()) for pod in pods))


STABLE, CANARY = {"app": "fx", "role": "stable"}, {"app": "fx", "role": "canary"}
HASHED = {"app": "fx", "hash": "abc"}
BOTH = spec_of(STABLE, CANARY)
MAPPED = [
    ("equal labels", (to(60, STABLE), to(40, CANARY)), {"v1": 60, "v2": 40}),
    ("weights that do not add up to 100", (to(1, STABLE), to(2, CANARY)), {"v1": 33, "v2": 67}),
    ("a narrower selector", (to(100, {**CANARY, "zone": "a"}),), {"v1": 0, "v2": 100}),
    ("pods of one version", (to(100, HASHED, pods=[{**CANARY, "hash": "abc"}]),), {"v1": 0, "v2": 100}),
    ("a wider selector without pods", (to(100, {"role": "canary"}),), {"v1": 0, "v2": 100}),
    ("a subset by its name", (to(100, subset="v2"),), {"v1": 0, "v2": 100}),
    ("a Service by its name", (to(100, host="fx-v2.ns.svc.cluster.local"),), {"v1": 0, "v2": 100}),
    ("an InferencePool by its name", (to(100, host="InferencePool v2"),), {"v1": 0, "v2": 100}),
    ("two of one version", (to(30, STABLE), to(30, {**STABLE, "a": "b"}), to(40, CANARY)), {"v1": 60, "v2": 40}),
]


@pytest.mark.parametrize("split, weights", [case[1:] for case in MAPPED], ids=[case[0] for case in MAPPED])
def test_a_destination_is_mapped_by_labels_pods_and_names(split, weights):
    found = observed_traffic(BOTH, (split,))
    assert found.problem is None and declared(found.spec) == weights


UNMAPPED = [
    ("pods of both", (to(100, {"app": "fx"}, pods=[STABLE, CANARY]),)),
    ("a selector of both", (to(100, {"app": "fx"}),)),
    ("pods of neither", (to(100, {"app": "else"}),)),
    ("an unknown Service", (to(100, host="else"),)),
]


@pytest.mark.parametrize("split", [case[1] for case in UNMAPPED], ids=[case[0] for case in UNMAPPED])
def test_what_is_not_one_version_leaves_the_document(split):
    found = observed_traffic(BOTH, (split,))
    assert found.spec is None and "give a version the labels" in found.problem


def labels_of(found, place):
    return found.spec.versions[place].existing.labels


def test_a_version_is_the_pods_that_the_route_reaches():
    new = {**STABLE, "hash": "abc"}
    found = observed_traffic(BOTH, ((to(100, HASHED, pods=[new]),),))
    assert declared(found.spec) == {"v1": 100, "v2": 0}
    assert labels_of(found, 0) == HASHED and labels_of(found, 1) == CANARY
    two = ((to(30, HASHED, pods=[new]), to(70, {**HASHED, "hash": "old"}, pods=[{**STABLE, "hash": "old"}])),)
    assert observed_traffic(BOTH, two).spec is None


def test_pods_of_one_generation_are_one_version_while_they_change_their_role():
    hashed = {"app": "fx", "rollouts-pod-template-hash": "abc"}
    found = observed_traffic(BOTH, ((to(100, hashed, pods=[{**STABLE, **hashed}, {**CANARY, **hashed}, hashed]),),))
    assert found.problem is None and declared(found.spec) == {"v1": 100, "v2": 0} and labels_of(found, 0) == hashed


def test_pods_that_differ_by_a_rollouts_hash_alone_are_to_be_labelled_by_their_rollout():
    hashed = {"app": "fx", "rollouts-pod-template-hash": "abc"}
    assert (
        "by stableMetadata and canaryMetadata" in observed_traffic(BOTH, ((to(100, hashed, pods=[hashed]),),)).problem
    )
    assert "canaryMetadata" not in observed_traffic(BOTH, ((to(100, HASHED, pods=[HASHED]),),)).problem


def test_the_same_split_leaves_the_document_as_it_is():
    assert observed_traffic(BOTH, ((to(100, STABLE),),)) == observed_traffic(BOTH, ())


def test_a_single_version_takes_what_is_not_known_and_not_what_is_of_others():
    one = spec_of(STABLE, traffic=(100,))
    assert observed_traffic(one, ((to(100),),)).problem is None
    assert observed_traffic(one, ((to(100, CANARY),),)).problem


def test_splits_are_read_once_for_each_way():
    one = {"route": [{"destination": {"host": "a"}}]}
    two = {"route": [{"destination": {"host": "a"}, "weight": 90}, {"destination": {"host": "b"}, "weight": 10}]}
    zero = {"route": [{"destination": {"host": "a"}, "weight": 100}, {"destination": {"host": "b"}, "weight": 0}]}
    http = [one, two, zero, {"redirect": {}}, {"delegate": {"name": "x"}}, {}]
    assert splits_of({"spec": {"http": http}}) == ((("a", "", 100),), (("a", "", 90), ("b", "", 10)))
