"""What a release reads: the requests of two versions since its step began, and figures of queries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from collectors.access_log.rows import RowPlace
from k8s_manager.release.decision.observation import ExternalReading, StepStatistics, VersionStatistics
from k8s_manager.release.gateway_counts import CountQuestion, GatewayCounts
from k8s_manager.release.release_source import LONGEST, MeasuredReleases, ReleaseQuestion, step_query
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.statistics.usage.prometheus_server import PrometheusServer
from tests.k8s_manager.autoscaling.readings.scene import CLOCK, UTC_NOW
from tests.k8s_manager.autoscaling.readings.test_query_signals import FakePrometheus, vector
from tests.support.fake_collector import FakeCollector, stats_row
from tests.support.serving import serving

NOW = UTC_NOW.timestamp()
END = int(NOW) // 10 * 10 - 10
"""The end of the newest window of which most is counted."""
PLACE = ModelPlace("search", "ranker")
V1, V2 = (RowPlace("version", tenant="search", model="ranker", version=name) for name in ("v1", "v2"))


def question(since: float = END - 60, **more) -> ReleaseQuestion:
    return ReleaseQuestion(PLACE, "search", "v1", "v2", since, **more)


@asynccontextmanager
async def source(
    collector: FakeCollector, copies: GatewayCounts | None = None, **more: float
) -> AsyncIterator[MeasuredReleases]:
    async with serving("/rows", collector.answer) as port:
        yield MeasuredReleases(CollectorPool(f"http://127.0.0.1:{port}", None), None, CLOCK, copies, **more)


class CountedCopies(GatewayCounts):
    """Gateway pods that all say the same of the copies."""

    def __init__(self, said: StepStatistics | str) -> None:
        self._said = said

    async def read(self, asked):
        return {one.place: self._said for one in asked}


async def test_the_requests_of_both_versions_since_the_step_began_are_counted():
    rows = [
        stats_row(V1, END - 20, (50,) * 90, ok=90, limited=500),
        stats_row(V2, END - 20, (50,) * 10, ok=8, serverError=2),
        stats_row(V2, END - 10, (50,) * 5, ok=4, clientGone=1),
        stats_row(V2, END - 70, (50,) * 100, serverError=100),
        stats_row(V2, END, (50,) * 100, serverError=100),
    ]
    async with source(FakeCollector(*rows)) as releases:
        found = (await releases.read([question()]))[PLACE].statistics
    assert found is not None and (found.since, found.until) == (END - 60, END)
    assert (found.stable.requests, found.new.requests) == (90, 15)
    assert found.new.outcomes == {"5xx": 2, "4xx": 0, "noAnswer": 1} and sum(found.new.latency.values()) == 15


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"lag": 40.0}, "the newest rows are 40 s behind"),
        ({"unread": 2}, "the logs of 2 gateway pods cannot be read"),
    ],
)
async def test_half_an_answer_is_none_and_says_why(about, said):
    collector = FakeCollector(stats_row(V2, END - 20, ok=90))
    collector.about = about
    async with source(collector) as releases:
        found = (await releases.read([question()]))[PLACE]
    assert found.statistics is None and said in found.flaw and "look at the collectors" in found.flaw


async def test_gateway_pods_are_asked_for_copies_and_collectors_too_for_requests():
    other = ModelPlace("search", "other")
    asked = CountQuestion(PLACE, "v1", "v2", NOW - 60, (), frozenset({8080}))
    pages = [
        question(counted=asked, mirrors=True),
        replace(question(counted=replace(asked, place=other)), place=other),
    ]
    counted = StepStatistics(NOW - 50, NOW, mirrored=VersionStatistics(7))
    collector = FakeCollector(
        stats_row(RowPlace("version", tenant="search", model="other", version="v2"), END - 20, ok=3)
    )
    async with source(collector, CountedCopies(counted)) as releases:
        found = await releases.read(pages)
    assert (found[PLACE].statistics, found[PLACE].counts) == (counted, None)
    assert found[other].statistics is not None and found[other].statistics.new.requests == 3
    assert found[other].counts is counted
    async with source(collector, CountedCopies("gateway pods gw/a do not answer")) as releases:
        found = await releases.read(pages)
    assert (found[PLACE].statistics, found[PLACE].flaw) == (None, "gateway pods gw/a do not answer")
    assert found[other].statistics is not None and (found[other].counts, found[other].flaw) == (None, "")
    async with source(collector) as releases:
        assert "nothing reads" in (await releases.read(pages))[PLACE].flaw


async def test_a_query_is_asked_and_its_one_number_kept_with_its_moment():
    fake = FakePrometheus(clicks=vector((NOW - 1.5, "0.04")), many=vector((NOW, "1"), (NOW, "2")))
    async with serving("/api/v1/query", fake.answer) as port:
        releases = MeasuredReleases(None, PrometheusServer(f"http://127.0.0.1:{port}"), CLOCK)
        queries = {"clicks": "sum(clicks)", "many": "many"}
        found = (await releases.read([question(queries=queries)]))[PLACE].readings
    assert found["clicks"] == ExternalReading(NOW - 1.5, "value", 0.04)
    assert found["many"].outcome == "pending" and "the query gives 2 series" in found["many"].sentence


async def test_what_gateway_pods_count_does_not_wait_for_a_source_that_is_late():
    """A collector that takes long is missing at this look; a failure is found all the same."""
    asked = CountQuestion(PLACE, "v1", "v2", NOW - 60, (), frozenset({8080}))
    counted = StepStatistics(NOW - 50, NOW, new=VersionStatistics(7))
    collector = FakeCollector(stats_row(V2, END - 20, ok=3))
    collector.seconds = 60.0
    async with source(collector, CountedCopies(counted), patience=0.05) as releases:
        found = (await releases.read([question(counted=asked, by_load=True)]))[PLACE]
    assert found.counts is counted and found.statistics is None
    assert (
        "no answer within 0.05 s; look at the collectors" in found.flaw and "look at the collectors" in found.load.flaw
    )


@pytest.mark.parametrize(
    ("missing", "since", "requests"),
    [(-1000, END - 60, 105), (-45, END - 40, 15), (-20, END - 20, 15), (-15, END - 10, 5)],
)
async def test_after_a_gap_in_a_step_what_came_since_is_gone_by(missing, since, requests):
    """Lines that a collector did not get never come: what was counted whole is the time after them."""
    rows = [stats_row(V2, END - 50, ok=90), stats_row(V2, END - 20, ok=10), stats_row(V2, END - 10, ok=5)]
    collector = FakeCollector(*rows)
    collector.about = {"since": END + missing}
    async with source(collector) as releases:
        found = (await releases.read([question()]))[PLACE]
    assert found.statistics is not None, found.flaw
    assert (found.statistics.since, found.statistics.until) == (since, END)
    assert found.statistics.new.requests == requests


@pytest.mark.parametrize("missing", [-5, 0, 5])
async def test_without_a_whole_window_since_a_gap_it_is_said(missing):
    collector = FakeCollector(stats_row(V2, END - 20, ok=90))
    collector.about = {"since": END + missing}
    async with source(collector) as releases:
        found = (await releases.read([question()]))[PLACE]
    assert found.statistics is None and "began to count after the beginning" in found.flaw


async def test_without_collectors_logs_and_prometheus_it_is_said_what_to_start():
    none = MeasuredReleases(None, None, CLOCK)
    found = (await none.read([question(queries={"clicks": "up"})]))[PLACE]
    assert "start collectors" in found.flaw and found.readings["clicks"].outcome == "pending"
    assert "--prometheus" in found.readings["clicks"].sentence
    async with source(FakeCollector()) as releases:
        assert "accessLog" in (await releases.read([question(silent="shared")]))[PLACE].flaw


@pytest.mark.parametrize(
    ("since", "start", "step"),
    [
        (END - 45, END - 40, 10),
        (NOW - 3000, None, 60),
        (NOW - 90_000, None, 60),
        (NOW - 1, END, 10),
        (END - 60 + 0.979, END - 50, 10),
        (END - 60 + 0.001, END - 50, 10),
        (END - 60, END - 60, 10),
    ],
)
def test_a_long_step_is_asked_for_in_minutes_and_its_last_hours_alone(since, start, step):
    query = step_query(question(since), NOW)
    assert query.step == step and query.end == END and query.start % step == 0
    assert query.start >= min(since, END) and query.start >= NOW - LONGEST
    assert start is None or query.start == start
