"""Signals of requests, from collectors that a test plays: whole windows, with what was refused, or a sentence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from collectors.access_log.rows import RowPlace, StatsRow
from k8s_manager.autoscaling.readings.request_signals import RequestSignals
from k8s_manager.statistics.collector_pool import CollectorPool
from tests.k8s_manager.autoscaling.readings.scene import CLOCK, NOW, UTC_NOW, target, values, why
from tests.support.fake_collector import FakeCollector, stats_row
from tests.support.serving import serving
from tests.support.standalone import free_port

END = int(UTC_NOW.timestamp()) // 10 * 10 - 20
"""The end of the newest window that is settled: 11:59:40."""
DEMAND = {"name": "demand", "target": "80%"}
CONCURRENCY = {"name": "concurrency", "target": 4}
LATENCY = {"name": "latency", "target": "80ms", "quantile": 0.95, "weight": 1}
MODEL = RowPlace("model", tenant="search", model="ranker")
VERSION = RowPlace("version", tenant="search", model="ranker", version="v1")


def row(place: RowPlace, start: int = END - 10, milliseconds: tuple[int, ...] = (), **counts: int) -> StatsRow:
    return stats_row(place, start, milliseconds, **counts)


@asynccontextmanager
async def reader(collector: FakeCollector) -> AsyncIterator[RequestSignals]:
    async with serving("/rows", collector.answer) as port:
        yield RequestSignals(CollectorPool(f"http://127.0.0.1:{port}", None), CLOCK)


async def test_demand_is_all_that_would_use_a_replica_what_was_refused_too():
    counts = {"ok": 40, "limited": 100, "closed": 20, "serverError": 10, "preflight": 500, "rejected": 500}
    collector, wanted = FakeCollector(row(MODEL, **counts)), target(DEMAND)
    async with reader(collector) as signals:
        found = await signals.read([wanted])
    (reading,) = found.values[wanted.key].values()
    assert reading.value == 17.0 and not found.missing
    assert reading.at == NOW - 27, "the window that was counted whole ended 27 s ago"


async def test_a_version_has_its_share_of_the_demand_of_its_model():
    old, new = (
        target(DEMAND, version=name, share=share) for name, share in (("v1", Fraction(3, 4)), ("v2", Fraction(1, 4)))
    )
    async with reader(FakeCollector(row(MODEL, ok=400))) as signals:
        found = await signals.read([old, new])
    assert (values(found, old), values(found, new)) == ({"demand": 30.0}, {"demand": 10.0})


async def test_what_matches_bring_counts_for_a_version_without_weight():
    """Its share of the model's demand is nothing; and who has the weights keeps what these give it."""
    old, new = (
        replace(target(DEMAND, version=name, share=share), has_matches=True)
        for name, share in (("v1", Fraction(1)), ("v2", Fraction(0)))
    )
    matched = RowPlace("version", tenant="search", model="ranker", version="v2")
    rows = row(MODEL, ok=400), row(VERSION, ok=250), row(matched, ok=50, limited=100)
    async with reader(FakeCollector(*rows)) as signals:
        found = await signals.read([old, new])
    assert (values(found, old), values(found, new)) == ({"demand": 40.0}, {"demand": 15.0})


async def test_concurrency_is_the_time_of_all_requests_over_the_window():
    rows = (row(VERSION, milliseconds=(2000,) * 30, ok=30), row(MODEL, ok=30))
    async with reader(FakeCollector(*rows)) as signals:
        assert values(await signals.read([wanted := target(CONCURRENCY)]), wanted) == {"concurrency": 6.0}


async def test_latency_is_the_quantile_in_seconds():
    rows = row(VERSION, milliseconds=(*(50,) * 90, *(400,) * 10), ok=100)
    async with reader(FakeCollector(rows)) as signals:
        p95 = values(await signals.read([wanted := target(LATENCY)]), wanted)["latency"]
        p50 = values(await signals.read([wanted := target({**LATENCY, "quantile": 0.5})]), wanted)["latency"]
    assert p95 == pytest.approx(0.4, rel=0.04) and p50 == pytest.approx(0.05, rel=0.04)


async def test_without_requests_demand_is_none_and_latency_argues_for_nothing():
    async with reader(FakeCollector()) as signals:
        found = await signals.read([wanted := target(DEMAND, CONCURRENCY, LATENCY)])
    assert values(found, wanted) == {"demand": 0, "concurrency": 0, "latency": 0} and not found.missing


@pytest.mark.parametrize(
    ("older", "settled", "newer", "newest", "demand"),
    [(70, 10, 5, 500, 1.0), (70, 10, 300, 500, 30.0), (70, 10, 0, 500, 1.0), (70, 10, 10, 500, 1.0)],
)
async def test_a_newer_window_counts_where_it_says_more_and_one_that_just_ended_does_not(
    older, settled, newer, newest, demand
):
    counts = {END - 20: older, END - 10: settled, END: newer, END + 10: newest}
    async with reader(FakeCollector(*(row(MODEL, start, ok=count) for start, count in counts.items()))) as signals:
        assert values(await signals.read([wanted := target(DEMAND)]), wanted) == {"demand": demand}


async def test_all_versions_of_all_models_are_one_question_for_each_level():
    collector = FakeCollector()
    many = [target(DEMAND, CONCURRENCY, LATENCY, model=f"m{number}") for number in range(50)]
    async with reader(collector) as signals:
        assert len((await signals.read(many)).values) == 50
        assert sorted(collector.asked) == ["model", "version"]
        await signals.read([target({"name": "cpu", "target": "70%"})])
        assert len(collector.asked) == 2


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"lag": 40.0}, "the newest rows are 40 s behind"),
        ({"unread": 2}, "the logs of 2 gateway pods cannot be read"),
        ({"since": END + 5}, "a collector began to count after the beginning of this span"),
        ({"name": "a", "members": ["a", "b"]}, "1 collectors that share the gateway pods were not found"),
    ],
)
async def test_half_the_metrics_are_none(about: dict[str, Any], said: str):
    collector = FakeCollector(row(MODEL, ok=10), row(VERSION, ok=10))
    collector.about = about
    async with reader(collector) as signals:
        found = await signals.read([wanted := target(DEMAND, CONCURRENCY, LATENCY)])
    for name in ("demand", "concurrency", "latency"):
        assert said in why(found, wanted, name) and why(found, wanted, name).startswith(
            "requests are counted in part ("
        )


async def test_one_of_two_collectors_that_is_away_makes_the_demand_missing(monkeypatch: pytest.MonkeyPatch):
    async def found_at(*_: object, **__: object):
        return [(0, 0, 0, "", (address, 0)) for address in ("127.0.0.1", "127.0.0.2")]

    async with serving("/rows", FakeCollector(row(MODEL, ok=10)).answer) as port:
        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", found_at, raising=False)
        signals = RequestSignals(CollectorPool(f"http://collectors:{port}", None), CLOCK)
        found = await signals.read([wanted := target(DEMAND)])
        monkeypatch.undo()
    assert "1 of 2 collectors do not answer" in why(found, wanted, "demand")


async def test_no_collector_that_answers_and_none_at_all_are_told_apart():
    wanted = target(DEMAND)
    away = RequestSignals(CollectorPool(f"http://127.0.0.1:{free_port()}", None), CLOCK)
    assert "none of 1 collectors answers; look at the collectors" in why(await away.read([wanted]), wanted, "demand")
    without = RequestSignals(None, CLOCK)
    assert why(await without.read([wanted]), wanted, "demand").endswith("this manager with --collectors URL")


async def test_an_answer_that_is_none_is_a_collector_that_does_not_answer():
    collector = FakeCollector(row(MODEL, ok=10))
    collector.status = 503
    async with reader(collector) as signals:
        assert "none of 1 collectors answers" in why(await signals.read([wanted := target(DEMAND)]), wanted, "demand")


async def test_demand_without_the_capacity_of_a_replica_says_what_to_state():
    async with reader(FakeCollector(row(MODEL, ok=10))) as signals:
        found = await signals.read([wanted := target(DEMAND, CONCURRENCY, per_replica=None)])
    assert "state perReplicaQps" in why(found, wanted, "demand") and values(found, wanted) == {"concurrency": 0}


async def test_a_gateway_that_logs_nothing_has_no_demand_of_zero():
    async with reader(FakeCollector()) as signals:
        found = await signals.read([wanted := replace(target(DEMAND, LATENCY), silent=("edge",))])
    assert why(found, wanted, "demand") == "gateway edge logs no requests; give it accessLog {mode: json}"
    assert why(found, wanted, "latency") == why(found, wanted, "demand")
