import pytest

from ratelimiter.fairness import Load, uneven


@pytest.mark.parametrize(
    "loads",
    [
        {},
        {"a": Load(1000, 500)},  # alone
        {"a": Load(500, 100), "b": Load(500, 90)},  # all refuse
        {"a": Load(900, 0), "b": Load(100, 0)},  # uneven, and nobody is hurt
        {"a": Load(600, 60), "b": Load(400, 0)},  # not idle
        {"a": Load(60, 30), "b": Load(1, 0)},  # too few to say anything
        {"a": Load(9000, 80), "b": Load(100, 0)},  # under one per cent
    ],
)
def test_nothing_is_said_where_nobody_is_hurt(loads):
    assert uneven(loads) is None


def test_a_pod_that_refuses_while_another_idles_is_named():
    found = uneven({"a": Load(100, 0), "b": Load(800, 300), "c": Load(100, 0)})
    assert found is not None
    assert (found.refusing, found.refused, found.its_share, found.idle, found.idle_share) == ("b", 300, 0.8, "a", 0.1)
