"""A fleet that an autoscaler moves, and the rows that it sees: the same in seconds and in nanoseconds."""

import pytest

from ratelimiter.autoscale.replica_fleet import ReplicaFleet
from ratelimiter.autoscale.request_rows import RequestRow, RequestRows

NANOS = 10**9


class Wanting:
    """An autoscaler that wants a number, and notes what it saw."""

    def __init__(self):
        self.count, self.seen = 2, []

    def replicas(self, seen):
        self.seen.append(seen)
        return self.count


@pytest.mark.parametrize("second", [1, NANOS])
def test_a_row_arrives_late_and_stays_until_the_next(second):
    rows = RequestRows(100 * second, second)
    for at in range(100, 120):
        rows.count(at * second, 3, 2)
    assert rows.latest(114 * second) is None
    assert rows.latest(115 * second) == rows.latest(124 * second) == RequestRow(3.0, 2.0, 110.0)
    assert rows.latest(125 * second) == RequestRow(3.0, 2.0, 120.0)
    assert rows.latest(135 * second) == RequestRow(0.0, 0.0, 130.0), "nothing came"


@pytest.mark.parametrize("second", [1, NANOS])
def test_replicas_are_warm_after_their_time_and_the_newest_go_first(second):
    autoscaler = Wanting()
    fleet = ReplicaFleet(autoscaler, 2, 30, began=0, second=second)
    autoscaler.count = 5
    assert fleet.look(10 * second) == 40 * second
    assert (fleet.asked, fleet.warm(39 * second), fleet.warm(40 * second)) == (5, 2, 5)
    autoscaler.count = 1
    assert fleet.look(50 * second) is None
    assert (fleet.asked, fleet.warm(50 * second)) == (1, 1)
    assert [(seen.at, seen.asked, seen.warm) for seen in autoscaler.seen] == [(10.0, 2, 2), (50.0, 5, 5)]


def test_an_autoscaler_can_be_without_rows():
    autoscaler = Wanting()
    fleet = ReplicaFleet(autoscaler, 2, 30)
    fleet.rows.count(0, 10, 10)
    fleet.look(15, sees_rows=False)
    fleet.look(15)
    assert [seen.row for seen in autoscaler.seen] == [None, RequestRow(1.0, 1.0, 10.0)]
