from fractions import Fraction

import pytest

from k8s_manager.autoscaling.namespace_quota import pod_size, rooms_of


def quota(hard, used, **spec):
    return {"metadata": {"namespace": "search", "name": "q"}, "spec": spec, "status": {"hard": hard, "used": used}}


def container(cpu, limit=None, **more):
    limits = {"limits": {"cpu": limit}} if limit else {}
    return {"resources": {**({"requests": {"cpu": cpu}} if cpu else {}), **limits}, **more}


def test_the_least_of_several_quotas_is_the_room():
    found = rooms_of([quota({"pods": "10", "requests.cpu": "4"}, {"pods": "3"}), quota({"pods": "5"}, {"pods": "3"})])
    assert found == {"search": {"pods": 2, "requests.cpu": 4}}


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
