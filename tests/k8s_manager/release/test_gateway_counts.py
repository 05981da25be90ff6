"""Statistics of a step from what gateway pods count."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from collectors.access_log.latency import quantile
from collectors.cluster_counters import ClusterCounts
from collectors.replicas import PodState
from istio_templates.facts import GatewayPool
from k8s_manager.release.decision.observation import StepStatistics
from k8s_manager.release.gateway_counts import CountQuestion, GatewayCounts
from k8s_manager.release.release_target import ModelPlace

INF = float("inf")
SHARED = GatewayPool("shared", "gw", (), ())
PLACE = ModelPlace("search", "ranker")
ASKED = CountQuestion(PLACE, "v1", "v2", 100.0, (SHARED,), frozenset({8080}))
V1, V2 = (f"outbound|8080|{version}|ranker.search.svc.cluster.local" for version in ("v1", "v2"))


class Clock:
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    def utc(self) -> datetime:
        return self.moment


class Gateways:
    """Gateway pods by address and what each counts; one with None does not answer."""

    def __init__(self) -> None:
        self.clock, self.pods = Clock(), dict[str, dict[str, ClusterCounts] | None]()
        self.requests = GatewayCounts(lambda _: list(map(self._pod, self.pods)), 15090, self.clock)

    def _pod(self, address: str) -> PodState:
        return PodState(address, frozenset(), True, False, address)

    async def read(self, address, clusters):
        assert set(clusters) >= {V1, V2}
        return self.pods[address]

    async def look(self, seconds: float = 5.0, **changes) -> StepStatistics | str:
        self.clock.moment += timedelta(seconds=seconds)
        return (await self.requests.read_by(self.read, [replace(ASKED, **changes)]))[PLACE]


def counted(completed: int, errors: int = 0, **latency: int) -> ClusterCounts:
    return ClusterCounts(completed, 0, errors, {float(edge.removeprefix("le")): n for edge, n in latency.items()})


@pytest.fixture
def gateways() -> Gateways:
    return Gateways()


async def test_requests_count_from_the_first_look_at_a_step_on(gateways):
    gateways.pods = {"a": {V1: counted(1000), V2: counted(70, 7)}, "b": {V1: counted(5), V2: counted(0)}}
    first = await gateways.look()
    assert first.since == first.until and (first.mirrored.requests, first.stable.requests) == (0, 0)
    gateways.pods = {"a": {V1: counted(1100, 1), V2: counted(80, 9)}, "b": {V1: counted(105), V2: counted(10, 1)}}
    later = await gateways.look()
    assert (later.since, later.until - later.since) == (first.since, 5.0)
    assert (later.stable.requests, later.stable.outcomes["5xx"]) == (200, 1)
    assert (later.mirrored.requests, later.mirrored.outcomes["5xx"]) == (20, 3)
    assert later.new == later.mirrored, "whether they are mirrored is the step's affair"


async def test_a_step_counts_from_the_last_look_before_it_on(gateways):
    gateways.pods = {"a": {V1: counted(1000), V2: counted(0)}}
    await gateways.look(since=50.0)
    gateways.pods = {"a": {V1: counted(1090, 1), V2: counted(10, 4)}}
    found = await gateways.look(since=200.0)
    assert (found.since, found.new.requests, found.new.outcomes["5xx"]) == (200.0, 10, 4)
    other = await gateways.look(stable="v2", version="v1", since=200.0)
    assert (other.since, other.new.requests) == (other.until, 0), "another release begins at its first look"


async def test_a_pod_that_did_not_know_a_version_has_counted_none_of_its_requests(gateways):
    """A gateway pod learns of a version at the earliest when its route does: in the step's first second."""
    gateways.pods = {"a": {V1: counted(1000)}, "b": None}
    await gateways.look(since=50.0)
    gateways.pods = {"a": {V1: counted(1090), V2: counted(10, 4)}, "b": {V1: counted(9), V2: counted(500, 500)}}
    found = await gateways.look(since=200.0)
    assert (found.new.requests, found.new.outcomes["5xx"]) == (10, 4), "nothing is known of b before"
    gateways.pods = {"a": {V1: counted(1090)}, "b": {V1: counted(9)}}
    await gateways.look(since=200.0)
    gateways.pods = {"a": {V1: counted(1090), V2: counted(3)}, "b": {V1: counted(9), V2: counted(2)}}
    found = await gateways.look(since=200.0)
    assert found.new.requests == 10 + 3 + 2, "it begins again where it went in between"


async def test_what_a_former_attempt_left_behind_does_not_count_in_a_retry(gateways):
    """Its slow requests end after the last look at it."""
    gateways.pods = {"a": {V1: counted(1000), V2: counted(70, 35)}}
    await gateways.look(since=100.0, started=90.0)
    gateways.pods = {"a": {V1: counted(1090), V2: counted(90, 55)}}
    found = await gateways.look(since=200.0, started=200.0)
    assert (found.since, found.new.requests) == (found.until, 0)
    gateways.pods = {"a": {V1: counted(1190), V2: counted(94, 56)}}
    found = await gateways.look(since=200.0, started=200.0)
    assert (found.new.requests, found.new.outcomes["5xx"]) == (4, 1)


async def test_a_look_long_before_a_step_is_none_that_its_counts_begin_from(gateways):
    """A manager that has led before, and leads again."""
    start = gateways.clock.moment.timestamp()
    gateways.pods = {"a": {V2: counted(0)}}
    await gateways.look(since=start)
    gateways.pods = {"a": {V2: counted(500, 400)}}
    found = await gateways.look(seconds=65.0, since=start + 60)
    assert found.new.requests == 0
    gateways.pods = {"a": {V2: counted(510, 400)}}
    assert (await gateways.look(since=start + 60)).new.requests == 10


async def test_a_port_that_was_not_asked_for_begins_at_its_first_reading(gateways):
    other = V2.replace("8080", "9000")
    gateways.pods = {"a": {V1: counted(1), V2: counted(1)}}
    await gateways.look()
    gateways.pods = {"a": {V1: counted(1), V2: counted(2), other: counted(700)}}
    assert (await gateways.look(ports=frozenset({8080, 9000}))).new.requests == 1


async def test_attempts_that_were_tried_again_count_once(gateways):
    gateways.pods = {"a": {V1: counted(100), V2: counted(100)}}
    await gateways.look()
    gateways.pods = {"a": {V1: counted(100), V2: replace(counted(130, 12), retries=10)}}
    found = (await gateways.look()).new
    assert (found.requests, found.outcomes["5xx"]) == (20, 2)


async def test_pods_that_begin_again_come_and_go_lose_nothing_that_was_counted(gateways):
    gateways.pods = {"a": {V2: counted(50)}, "b": {V2: counted(50)}}
    await gateways.look()
    gateways.pods = {"a": {V2: counted(60)}, "b": {V2: counted(60)}}
    await gateways.look()
    gateways.pods = {"a": {V2: counted(4)}, "c": {V2: counted(500)}}
    assert (await gateways.look()).mirrored.requests == 10 + 10 + 4
    gateways.pods = {"a": None, "c": {V2: counted(503)}}
    assert (await gateways.look()).mirrored.requests == 24 + 3
    gateways.pods = {"a": {V2: counted(10)}, "c": {V2: counted(503)}}
    assert (await gateways.look()).mirrored.requests == 27 + 6


async def test_each_step_counts_for_itself(gateways):
    gateways.pods = {"a": {V2: counted(50)}}
    await gateways.look()
    gateways.pods = {"a": {V2: counted(60)}}
    assert (await gateways.look()).mirrored.requests == 10
    assert (await gateways.look(since=200.0)).mirrored.requests == 0
    gateways.pods = {"a": {V2: counted(61)}}
    assert (await gateways.look(since=200.0)).mirrored.requests == 1
    assert (await gateways.look()).mirrored.requests == 0


async def test_the_ports_of_all_routes_count(gateways):
    other = V2.replace("8080", "9000")
    gateways.pods = {"a": {V2: counted(1), other: counted(1)}}
    await gateways.look(ports=frozenset({8080, 9000}))
    gateways.pods = {"a": {V2: counted(2), other: counted(3)}}
    assert (await gateways.look(ports=frozenset({8080, 9000}))).mirrored.requests == 3


async def test_latencies_within_a_class_speak_for_the_new_version(gateways):
    gateways.pods = {"a": {V1: counted(0), V2: counted(0)}}
    await gateways.look()
    classes = {"le100": 0, "le200": 10, "leinf": 10}
    gateways.pods = {"a": {V1: counted(10, **classes), V2: counted(10, **classes)}}
    found = await gateways.look()
    assert 100_000 < quantile(found.mirrored.latency, 0.9) < 110_000
    assert 190_000 < quantile(found.stable.latency, 0.9) < 210_000
    gateways.pods = {"a": {V1: counted(10, **classes), V2: counted(20, le100=0, le200=10, leinf=20)}}
    assert quantile((await gateways.look()).mirrored.latency, 0.99) > 200_000


async def test_what_cannot_be_read_is_said_with_what_to_do(gateways):
    said = await gateways.look()
    assert "gateway shared has no ready pod" in said and "start one" in said
    gateways.pods = {"a": None}
    said = await gateways.look()
    assert "gateway pods gw/a do not show their statistics" in said and "let the manager reach" in said
    gateways.pods = {"a": {}, "b": None}
    said = await gateways.look()
    assert "gw/a, gw/b do not count by version" in said and "proxyStatsMatcher" in said
