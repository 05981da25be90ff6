from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.traffic.weights import split

NAMES = ["v1", "v2", "v3", "v4"]


@st.composite
def weights(draw):
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=3, max_size=3)))
    return dict(zip(NAMES, (cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], 100 - cuts[2]), strict=True))


@given(declared=weights(), warm=st.sets(st.sampled_from(NAMES)))
def test_only_warm_versions_share_the_traffic_and_all_of_it(declared, warm):
    found = split(declared, warm)
    assert sum(found.values()) == 100
    assert found.keys() == declared.keys()
    carrying = {name for name in warm if declared[name]}
    if not carrying:
        assert found == declared
        return
    assert {name for name, weight in found.items() if weight} <= carrying
    for name in carrying:
        exact = declared[name] * 100 / sum(declared[other] for other in carrying)
        assert abs(found[name] - exact) < 1


def test_a_version_without_warm_replicas_gives_its_share_to_the_others():
    assert split({"v1": 60, "v2": 30, "v3": 10}, ["v1", "v2"]) == {"v1": 67, "v2": 33, "v3": 0}
    assert split({"v1": 90, "v2": 10}, ["v1"]) == {"v1": 100, "v2": 0}
    assert split({"v1": 90, "v2": 10}, ["v1", "v2"]) == {"v1": 90, "v2": 10}
    assert split({"v1": 90, "v2": 10}, []) == {"v1": 90, "v2": 10}
