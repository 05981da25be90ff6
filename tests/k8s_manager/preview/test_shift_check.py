import pytest

from istio_templates.documents import ModelSpec
from k8s_manager.preview.shift_check import objections
from tests.support.documents import model


def spec(v2: int, rate: float = 20, **limit) -> ModelSpec:
    """Return a model with two versions, so many per cent of the traffic to the second."""
    versions = [{"name": name, "workload": {"replicas": 2, "image": "example.com/ranker:1"}} for name in ("v1", "v2")]
    traffic = [{"version": "v1", "weight": 100 - v2}, {"version": "v2", "weight": v2}]
    limits = {"perReplicaQps": rate, **limit}
    return ModelSpec.model_validate(model(versions=versions, traffic=traffic, rateLimit=limits)["spec"])


def test_traffic_moves_where_the_warm_replicas_can_carry_it():
    assert objections(spec(0), spec(10), {"v1": 4, "v2": 1}) == []
    assert objections(spec(0), spec(100), {"v1": 4, "v2": 4}) == []


def test_traffic_does_not_move_to_a_version_without_a_warm_replica():
    (problem,) = objections(spec(0), spec(10), {"v1": 4, "v2": 0})
    assert str(problem) == "traffic: version v2 has no warm replica; scale it up and wait until it is warm"


def test_a_version_that_cannot_carry_its_share_is_named_with_the_replicas_that_could():
    (problem,) = objections(spec(0), spec(50), {"v1": 4, "v2": 1})
    assert "version v2 has 1 warm replicas for 50% of the traffic" in problem.message
    assert "the limit would fall from 80/s to 40/s; scale that version to 2 replicas first" in problem.message
    assert objections(spec(0), spec(50), {"v1": 4, "v2": 2}) == []


def test_a_ceiling_that_holds_anyway_leaves_room():
    assert objections(spec(0, ceiling=30), spec(50, ceiling=30), {"v1": 4, "v2": 1}) == []


def test_versions_with_limits_of_their_own_only_lower_the_sum():
    def own(v2):
        found = model(
            versions=[
                {"name": n, "workload": {"replicas": 2, "image": "example.com/ranker:1"}, "rateLimit": {"floor": 1}}
                for n in ("v1", "v2")
            ],
            traffic=[{"version": "v1", "weight": 100 - v2}, {"version": "v2", "weight": v2}],
        )
        return ModelSpec.model_validate(found["spec"])

    (problem,) = objections(own(50), own(0), {"v1": 2, "v2": 2})
    assert problem.message == "the limit would fall from 80/s to 40/s; send force=true to accept that"


@pytest.mark.parametrize("back", [0, 10])
def test_going_back_is_always_possible_while_the_old_version_is_warm(back):
    assert objections(spec(100), spec(back), {"v1": 4, "v2": 4}) == []
