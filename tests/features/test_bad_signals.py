"""Signals that say nothing, from their sources to the condition: it names the remedy, and the replicas stay."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from k8s_manager.autoscaling.readings.query_signals import QuerySignals
from k8s_manager.autoscaling.readings.request_signals import RequestSignals
from k8s_manager.autoscaling.scale_target import ScaleTarget
from k8s_manager.autoscaling.signal_source import SignalReadings
from k8s_manager.statistics.usage.metric_series import InstantSample
from k8s_manager.statistics.usage.prometheus_server import PrometheusAway
from tests.features.test_autoscale import AUTOSCALED, KEY, Node, condition, replicas, run
from tests.support.demand import SetDemand
from tests.support.direct_api import Cluster, Fault
from tests.support.documents import gateway, model
from tests.support.simulated import SimulatedClock

QUEUE = {"name": "queue", "prometheus": "sum(waiting)", "target": 5}
DEMAND = {"name": "demand"}
WEEK = 7 * 86_400.0


class SetPrometheus:
    """A Prometheus that gives one series with a value, so many seconds old; None: it does not answer."""

    def __init__(self, value: float | None, age: float = 0.0) -> None:
        self.value, self._age, self._clock = value, age, SimulatedClock()

    async def instant(self, query: str, lookback: int | None = None, most_bytes: int | None = None) -> list[Any]:
        if self.value is None:
            raise PrometheusAway("Prometheus at prometheus gave no figures (refused); look at it")
        return [InstantSample({}, str(self.value), self._clock.utc().timestamp() - self._age)]


class Sources(SetDemand):
    """What reads queries in the product beside a set demand, or beside what reads that without any collector."""

    def __init__(self, prometheus: SetPrometheus | None, demand: float | None = None) -> None:
        super().__init__(demand)
        clock = SimulatedClock()
        self._requests, self._queries = RequestSignals(None, clock), QuerySignals(prometheus, clock)  # type: ignore[arg-type]

    async def read(self, versions: Sequence[ScaleTarget]) -> SignalReadings:
        requests = await (self._requests.read(versions) if self.demand is None else super().read(versions))
        queries = await self._queries.read(versions)
        return SignalReadings(_beside(requests.values, queries.values), _beside(requests.missing, queries.missing))


def _beside(one: Any, other: Any) -> dict[Any, dict[str, Any]]:
    return {key: {**one.get(key, {}), **other.get(key, {})} for key in {*one, *other}}


def scaled(*signals: dict[str, Any], has_figure: bool = True) -> dict:
    autoscale = {**AUTOSCALED, "signals": [*signals]}
    version = {"name": "v1", "workload": {"image": "example.com/ranker:1"}, "autoscale": autoscale}
    found = model(versions=[version])
    if not has_figure:
        del found["spec"]["rateLimit"]
    return found


@pytest.mark.parametrize(
    ("source", "document", "reason", "remedy"),
    [
        (Sources(None), scaled(DEMAND), "NoSignal", "--collectors"),
        (Sources(None), scaled(QUEUE), "NoSignal", "--prometheus"),
        (Sources(SetPrometheus(None)), scaled(QUEUE), "NoSignal", "gave no figures"),
        (
            Sources(SetPrometheus(float("nan"))),
            scaled(QUEUE),
            "NoSignal",
            "write one that always gives a number from 0",
        ),
        (Sources(SetPrometheus(1.0, WEEK)), scaled(QUEUE), "NoSignal", "look at the clock of Prometheus"),
        (Sources(SetPrometheus(0.0)), scaled(QUEUE, DEMAND), "SignalMissing", "--collectors"),
        (Sources(SetPrometheus(None), 0.0), scaled(QUEUE, DEMAND), "SignalMissing", "gave no figures"),
        (
            Sources(SetPrometheus(0.0)),
            scaled(DEMAND, has_figure=False),
            "NoSignal",
            "state perReplicaQps for the version or in the model's rateLimit, or use the signal concurrency",
        ),
    ],
    ids=["no collectors", "no prometheus", "away", "NaN", "last week", "half of them", "other half", "no capacity"],
)
def test_it_is_a_condition_with_the_remedy_and_the_replicas_stay(
    source: Sources, document: dict, reason: str, remedy: str
):
    async def check(cluster: Cluster, node: Node) -> None:
        await cluster.apply(gateway(accessLog={"mode": "json"}))
        await cluster.client.merge(KEY, {"spec": {"replicas": 5}})
        await asyncio.sleep(1_000)
        assert replicas(cluster) == 5 and set(node.seen[-900:]) == {5}
        status, found, message = condition(cluster, "ScalingActive")
        assert (status == "False", found) == (reason == "NoSignal", reason), message
        assert remedy in message

    run(check, source, document)


def test_while_nothing_is_heard_of_pods_no_signal_counts_and_the_replicas_stay():
    load = SetDemand(100.0)

    async def check(cluster: Cluster, node: Node) -> None:
        assert replicas(cluster) == 6
        faults = [Fault(verb, "/api/v1/pods", times=10_000, status=503) for verb in ("GET", "WATCH")]
        cluster.session.faults += faults
        await asyncio.sleep(900)  # the watch that is under way ends after some minutes
        for demand in (20.0, 160.0):
            load.demand = demand
            await asyncio.sleep(600)
            assert replicas(cluster) == 6
        status, reason, message = condition(cluster, "ScalingActive")
        assert (status, reason) == ("False", "NoSignal")
        assert "nothing was heard of pods for 120 s" in message and "API server" in message
        cluster.session.faults.clear()
        await asyncio.sleep(60)
        assert replicas(cluster) == 8 and condition(cluster, "ScalingActive")[:2] == ("True", "Following")

    run(check, load)
