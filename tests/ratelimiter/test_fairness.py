import pytest

from ratelimiter.fairness import PodLoad, uneven


@pytest.mark.parametrize(
    "loads",
    [
        {},
        {"a": PodLoad(1000, 500)},  # alone
        {"a": PodLoad(500, 100), "b": PodLoad(500, 90)},  # all refuse
        {"a": PodLoad(900, 0), "b": PodLoad(100, 0)},  # uneven, and nobody is hurt
        {"a": PodLoad(600, 60), "b": PodLoad(400, 0)},  # not idle
        {"a": PodLoad(60, 30), "b": PodLoad(1, 0)},  # too few to say anything
        {"a": PodLoad(9000, 80), "b": PodLoad(100, 0)},  # under one per cent
    ],
)
def test_nothing_is_said_where_nobody_is_hurt(loads):
    assert uneven(loads) is None


def test_a_pod_that_refuses_while_another_idles_is_named():
    found = uneven({"a": PodLoad(100, 0), "b": PodLoad(800, 300), "c": PodLoad(100, 0)})
    assert found is not None
    assert (found.refusing, found.refused, found.its_share, found.idle, found.idle_share) == ("b", 300, 0.8, "a", 0.1)
