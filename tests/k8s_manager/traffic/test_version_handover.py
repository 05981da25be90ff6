"""Requests leave a version that serves only for one that can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents import parse
from istio_templates.virtual_service import weights_of
from k8s_manager.traffic.version_handover import effective
from k8s_manager.traffic.weights import declared
from k8s_manager.world.world import Deployed
from tests.support.documents import model

OLD = Deployed("v1", 2, 2, "2026-11-21T10:00:00Z")
NEW = Deployed("v2", 0, 2, "2026-11-21T12:00:00Z")


def workload(name, **more):
    return {"name": name, "workload": {"replicas": 2, "image": "a", **more}}


def spec(*versions, traffic=None, **more):
    shares = traffic or {versions[0]["name"]: 100}
    listed = [{"version": name, "weight": weight} for name, weight in shares.items()]
    return parse(model(versions=list(versions), traffic=listed, **more)).spec


def weights(found):
    return found and {name: weight for name, weight in declared(found).items() if weight}


RENAMED = spec(workload("v2"))


def test_a_version_that_left_serves_until_the_one_that_came_is_warm():
    found = effective("ranker", RENAMED, {}, [OLD], {"v1": 100})
    assert weights(found) == {"v1": 100}
    assert [version.name for version in found.versions] == ["v2", "v1"]
    assert found.versions[1].existing.labels["tidegate.dev/version"] == "v1"
    assert effective("ranker", RENAMED, {"v2": 2}, [OLD], {"v1": 100}) is None


def test_it_serves_again_when_its_replicas_were_away_for_a_moment():
    assert effective("ranker", RENAMED, {}, [Deployed("v1", 0, 2, "")], {"v1": 100}) is None
    assert weights(effective("ranker", RENAMED, {}, [OLD], {"v2": 100})) == {"v1": 100}


def test_the_old_version_serves_until_as_many_are_warm_as_are_wanted_or_as_it_has():
    assert weights(effective("ranker", RENAMED, {"v2": 1}, [OLD, NEW], {"v1": 100})) == {"v1": 100}
    assert effective("ranker", RENAMED, {"v2": 1}, [Deployed("v1", 1, 1, ""), NEW], {"v1": 100}) is None
    assert effective("ranker", spec(workload("v2", replicas=1)), {"v2": 1}, [OLD, NEW], {"v1": 100}) is None
    assert effective("ranker", RENAMED, {"v2": 1}, [OLD, NEW], {"v2": 100}) is None  # requests have moved already


def test_a_successor_that_sleeps_at_zero_is_not_taken_back_from():
    autoscaled = spec({"name": "v2", "workload": {"image": "a"}})
    assert effective("ranker", autoscaled, {}, [OLD, Deployed("v2", 0, 0, "")], {"v2": 100}) is None
    assert weights(effective("ranker", autoscaled, {}, [OLD, NEW], {"v2": 100})) == {"v1": 100}


def test_weights_that_were_set_to_zero_stay_while_nobody_can_serve():
    moved = spec(workload("v1"), workload("v2"), traffic={"v1": 0, "v2": 100})
    assert weights(effective("ranker", moved, {}, [], {"v1": 100})) == {"v1": 100}
    assert effective("ranker", moved, {}, [], {"v2": 100}) is None
    assert effective("ranker", moved, {}, [], {}) is None


def test_of_several_that_left_those_that_serve_go_on_and_else_the_newest():
    older = Deployed("v0", 2, 2, "2026-11-20T10:00:00Z")
    assert weights(effective("ranker", RENAMED, {}, [older, OLD], {"v0": 30, "v1": 70})) == {"v0": 30, "v1": 70}
    assert weights(effective("ranker", RENAMED, {}, [older, OLD], {"v0": 30, "v9": 70})) == {"v0": 100}
    assert weights(effective("ranker", RENAMED, {}, [older, OLD], {})) == {"v1": 100}


def test_weights_that_move_to_a_cold_version_wait_also_where_somebody_else_runs_the_warm_one():
    found = {"name": "v1", "existing": {"labels": {"app": "ranker"}}}
    moved = spec(found, workload("v2"), traffic={"v1": 0, "v2": 100})
    assert weights(effective("ranker", moved, {"v1": 1}, [], {"v1": 100})) == {"v1": 100}
    assert effective("ranker", moved, {"v1": 1}, [], {"v2": 100}) is None


@pytest.mark.parametrize(
    "wanted",
    [
        spec(workload("v2", acceptOutage=True)),
        spec(workload("v2", replicas=0)),
        spec(workload("v2"), paused="being checked"),
        spec({"name": "v2", "existing": {"labels": {"app": "other"}}}),
    ],
    ids=["an outage is accepted", "none is wanted", "paused", "no label in common"],
)
def test_nothing_is_held_back_where_that_was_meant_or_cannot_be(wanted):
    assert effective("ranker", wanted, {}, [OLD], {"v1": 100}) is None


names = st.sampled_from(["v1", "v2", "v3", "v4"])


@given(st.sets(names), st.lists(st.tuples(names, st.booleans())), st.dictionaries(names, st.integers(0, 100)))
def test_whatever_departs_the_weights_sum_to_a_hundred_and_lead_to_replicas_only(warm, gone, live):
    declared_names = {"v3", "v4"}
    wanted = spec(workload("v3"), workload("v4"), traffic={"v3": 60, "v4": 40})
    departed = [Deployed(name, 2 * ready, 2, "") for name, ready in dict(gone).items() if name not in declared_names]
    counts = {name: 2 * (name in warm) for name in declared_names}
    found = effective("ranker", wanted, counts, departed, live)
    serving = {one.version for one in departed if one.ready}
    if found:
        assert sum(declared(found).values()) == 100
        assert weights(found).keys() <= serving
    assert found or not serving or warm & declared_names
    assert not found or not warm >= declared_names


def test_weights_are_read_from_a_route():
    routes = [{"destination": {"subset": "v1"}, "weight": 90}, {"destination": {"subset": "v2"}, "weight": 10}]
    assert weights_of({"spec": {"http": [{"route": routes}]}}) == {"v1": 90, "v2": 10}
    assert weights_of({"spec": {"http": [{"route": [{"destination": {"subset": "v1"}}]}]}}) == {"v1": 100}
    assert weights_of({"spec": {"http": [{"directResponse": {"status": 503}}]}}) == weights_of({}) == {}
