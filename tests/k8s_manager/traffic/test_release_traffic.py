"""Where the requests of a model go that is released step by step: where its status says, else where they go now."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents import parse
from k8s_manager.traffic.release_record import ReleaseRecord
from k8s_manager.traffic.release_traffic import mirrored, released, stated_weights
from k8s_manager.traffic.weights import declared
from tests.support.documents import model


def spec_of(to="v2", versions=("v1", "v2"), rollout=True):
    found = [{"name": name, "workload": {"replicas": 2, "image": f"example.com/ranker:{name}"}} for name in versions]
    more = {"rollout": {}} if rollout else {}
    return parse(model(versions=found, traffic=[{"version": to, "weight": 100}], **more)).spec


def status(**weights):
    return {"rollout": {"weights": [{"version": name, "weight": weight} for name, weight in weights.items()]}}


def serving(spec, said=None, live=None, deployed=("v1", "v2")):
    found = released("ranker", spec, said or {}, live or {}, deployed)
    return {version: weight for version, weight in declared(found or spec).items() if weight}


def test_the_weights_of_the_status_hold():
    assert serving(spec_of(), status(v1=95, v2=5), {"v1": 50, "v2": 50}) == {"v1": 95, "v2": 5}


def test_the_mirror_of_the_status_holds_for_a_version_without_a_weight():
    said = status(v1=100)
    said["rollout"] |= {"version": "v2", "mirror": 10}
    found = released("ranker", spec_of(), said, {"v1": 100}, ["v1", "v2"])
    assert found is not None and mirrored(found) == {"v2": 10}
    assert serving(spec_of(), said) == {"v1": 100}
    said["rollout"]["mirror"] = 0
    found = released("ranker", spec_of(), said, {"v1": 100}, ["v1", "v2"])
    assert found is not None and mirrored(found) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"mirror": "10%"},
        {"mirror": 101},
        {"mirror": -1},
        {"mirror": True},
        {"version": 2},
        {"version": "v9"},
        {"version": "v1"},
    ],
)
def test_a_mirror_that_cannot_be_read_or_leads_nowhere_is_none(changes):
    said = status(v1=100)
    said["rollout"] |= {"version": "v2", "mirror": 10, **changes}
    found = released("ranker", spec_of(), said, {"v1": 100}, ["v1", "v2"])
    assert found is not None and mirrored(found) == {}


def test_without_a_status_requests_stay_where_they_go():
    assert serving(spec_of(), live={"v1": 100}) == {"v1": 100}


def test_a_model_that_nothing_serves_yet_goes_by_its_document():
    assert serving(spec_of()) == {"v2": 100}


def test_without_a_rollout_the_document_holds():
    assert released("ranker", spec_of(rollout=False), status(v1=95, v2=5), {"v1": 100}, ["v1"]) is None


def test_a_version_that_left_the_document_serves_on_while_its_deployment_is_there():
    spec = spec_of(versions=("v2",))
    found = released("ranker", spec, status(v1=75, v2=25), {}, ("v1", "v2"))
    assert found is not None and [version.name for version in found.versions] == ["v2", "v1"]
    assert serving(spec, status(v1=75, v2=25), deployed=("v1", "v2")) == {"v1": 75, "v2": 25}
    assert serving(spec, status(v1=75, v2=25), deployed=("v2",)) == {"v2": 100}


@pytest.mark.parametrize(
    "said",
    [
        {"rollout": None},
        {"rollout": {"weights": None}},
        {"rollout": {"weights": ["v1"]}},
        {"rollout": {"weights": [{"version": "v1", "weight": True}]}},
        {"rollout": {"weights": [{"version": "v1", "weight": 99}]}},
        {"rollout": {"weights": [{"version": "v1", "weight": 150}, {"version": "v2", "weight": -50}]}},
        {"rollout": {"weights": [{"version": 1, "weight": 100}]}},
        {"rollout": "v1"},
    ],
)
def test_a_status_that_cannot_be_read_says_nothing(said):
    assert stated_weights(said) == {}
    assert serving(spec_of(), said, {"v1": 100}) == {"v1": 100}


shares = st.dictionaries(st.sampled_from(["v1", "v2", "v3"]), st.integers(0, 100), max_size=3)


@given(said=shares, live=shares, deployed=st.sets(st.sampled_from(["v1", "v2", "v3"])))
def test_whatever_is_written_the_document_to_go_by_is_one_that_could_be_written(said, live, deployed):
    if sum(live.values()) != 100:
        live = {}
    found = released("ranker", spec_of(), status(**said), live, tuple(deployed))
    if found is not None:
        assert sum(declared(found).values()) == 100
        assert {name for name, weight in declared(found).items() if weight} <= {one.name for one in found.versions}


def test_without_status_and_routes_the_recorded_stable_version_gets_the_requests():
    spec, record = spec_of(), ReleaseRecord("v1")
    found = released("ranker", spec, {}, {}, (), record)
    assert found is not None and declared(found) == {"v1": 100, "v2": 0}
    assert released("ranker", spec, {}, {"v2": 100}, (), record) is None
    assert released("ranker", spec, status(v2=100), {}, (), record) is None
    assert released("ranker", spec, {}, {}, (), ReleaseRecord("gone")) is None
    assert released("ranker", spec_of(rollout=False), {}, {}, (), record) is None
