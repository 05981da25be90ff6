from fractions import Fraction

import pytest

from istio_templates.documents.autoscale import VersionAutoscale
from k8s_manager.autoscaling.quotas.namespace_quota import Rooms, bearable_in, pod_size, rooms_of
from k8s_manager.autoscaling.quotas.quota_reader import QuotaBounds
from k8s_manager.autoscaling.scale_target import ScaleTarget, VersionKey


def quota(hard, used, **spec):
    return {"metadata": {"namespace": "search", "name": "q"}, "spec": spec, "status": {"hard": hard, "used": used}}


def container(cpu, limit=None, **more):
    limits = {"limits": {"cpu": limit}} if limit else {}
    return {"resources": {**({"requests": {"cpu": cpu}} if cpu else {}), **limits}, **more}


def test_the_least_of_several_quotas_is_the_room():
    found = rooms_of([quota({"pods": "10", "requests.cpu": "4"}, {"pods": "3"}), quota({"pods": "5"}, {"pods": "3"})])
    assert {name: room.left for name, room in found["search"].items()} == {"pods": 2, "requests.cpu": 4}
    assert found["search"]["pods"].hard == "5"


@pytest.mark.parametrize(
    "odd",
    [
        quota({"pods": "10"}, {}, scopes=["BestEffort"]),
        quota({"pods": "10"}, {}, scopeSelector={"matchExpressions": []}),
        quota({"pods": "many"}, {}),
        quota({"pods": "10"}, {"pods": "?"}),
        quota([], {}),
        {"metadata": {"namespace": "search"}, "spec": None, "status": None},
    ],
)
def test_a_quota_that_says_nothing_of_every_pod_bounds_nothing(odd):
    assert rooms_of([odd]).get("search", {}) == {}


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [container("500m"), container("1")]}, "3/2"),
        ({"containers": [container(None, "2")]}, "2"),
        ({"containers": [container("1")], "initContainers": [container("4")]}, "4"),
        ({"containers": [container("1")], "initContainers": [container("4", restartPolicy="Always")]}, "5"),
    ],
)
def test_the_size_of_a_pod_is_what_kubernetes_counts(spec, cpu):
    size = pod_size({"spec": spec})
    assert (size["requests.cpu"], size["cpu"], size["pods"]) == (Fraction(cpu), Fraction(cpu), 1)


def test_cards_count_by_their_own_name():
    spec = {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}]}
    assert pod_size({"spec": spec})["requests.nvidia.com/gpu"] == 2


def version(existing, *containers):
    key, autoscale = VersionKey("search", "ranker", "v1"), VersionAutoscale(max=8)
    template = {"spec": {"containers": list(containers)}}
    share = Fraction(1)
    return ScaleTarget(key, "search", autoscale, None, share, (), "d", existing, existing, False, existing, template)


def test_a_quota_bears_what_is_there_and_what_its_room_takes():
    rooms = rooms_of([quota({"pods": "10", "requests.cpu": "4"}, {"pods": "3", "requests.cpu": "2500m"})])["search"]
    most = bearable_in(rooms, version(3, container("500m")))
    assert (most.replicas, most.resource, most.room.hard) == (3 + 3, "requests.cpu", "4")
    assert bearable_in(rooms, version(3)).resource == "pods"
    assert bearable_in({}, version(3, container("500m"))) is None


def test_a_quota_that_is_used_up_bears_what_is_there():
    rooms = rooms_of([quota({"pods": "2"}, {"pods": "3"})])["search"]
    assert bearable_in(rooms, version(2)).replicas == 2


def test_a_reading_while_pods_come_takes_nothing_away():
    """The quota knows of six pods, the Deployment says two still."""
    bounds, key = QuotaBounds(), version(2).key
    before, meanwhile, then = (rooms_of([quota({"pods": "8"}, {"pods": str(used)})]) for used in (2, 6, 6))
    assert bounds.of(before, [version(2)])[key].replicas == 8
    assert bounds.of(before, [version(6)])[key].replicas == 8, "what came since has its room in this reading"
    assert bounds.of(meanwhile, [version(2)])[key].replicas == 8
    assert bounds.of(meanwhile, [version(6)])[key].replicas == 8
    assert bounds.of(then, [version(6)])[key].replicas == 8
    assert bounds.of({}, [version(6)])[key].replicas == 8
    assert bounds.of(dict[str, Rooms](), [version(6)]) == {}
