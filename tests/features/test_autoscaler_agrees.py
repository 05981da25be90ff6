"""The condition AutoscalerAgrees of versions with `autoscale`: what works against them, in simulated time."""

import asyncio
from collections.abc import Sequence

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.autoscaling.scale_target import ScaleTarget
from k8s_manager.autoscaling.signal_source import SignalReadings
from ratelimiter.autoscale.signals import SignalReading
from tests.features.test_autoscale import AUTOSCALED, KEY, condition, limit, replicas, run
from tests.support.demand import SetDemand
from tests.support.direct_api import Cluster
from tests.support.documents import model
from tests.support.fleet import QUICK
from tests.support.simulated import SimulatedClock

QUOTA = ObjectKey("ResourceQuota", "search", "cards")
CPU = {"name": "cpu", "target": "70%"}
SEES = ("True", "Agrees", "the autoscalers can follow the load that the limit admits")


class SetSignals(SetDemand):
    """A demand and a latency (in seconds) that a test sets."""

    def __init__(self, demand: float, latency: float) -> None:
        super().__init__(demand)
        self.latency = latency

    async def read(self, versions: Sequence[ScaleTarget]) -> SignalReadings:
        found, now = await super().read(versions), asyncio.get_running_loop().time()
        return SignalReadings(
            {key: {**values, "latency": SignalReading(self.latency, now)} for key, values in found.values.items()}
        )


def scaled(rate_limit: dict | None = None, version: dict | None = None, **autoscale: object) -> dict:
    workload = {"image": "example.com/ranker:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    one = {"name": "v1", "workload": workload, "autoscale": {**AUTOSCALED, **autoscale}, **(version or {})}
    return model(versions=[one], rateLimit={"perReplicaQps": 20, "debounce": QUICK, **(rate_limit or {})})


def agrees(cluster: Cluster) -> tuple[str, str, str]:
    return condition(cluster, "AutoscalerAgrees")


def test_a_ceiling_beyond_max_is_never_reached():
    async def check(cluster: Cluster, node: object) -> None:
        assert agrees(cluster)[:2] == ("False", "CeilingUnreachable")
        assert agrees(cluster)[2] == (
            "the ceiling of 161/s is never reached: as many replicas as autoscale.max allows serve 160/s; lower the "
            "ceiling or raise autoscale.max"
        )
        await cluster.apply(scaled({"ceiling": 160}))
        await asyncio.sleep(30)
        assert agrees(cluster) == SEES
        await cluster.apply(scaled(version={"rateLimit": {"ceiling": 161}}))
        await asyncio.sleep(30)
        assert agrees(cluster)[1] == "CeilingUnreachable"
        assert agrees(cluster)[2].startswith("the ceiling of version v1 of 161/s is never reached")

    run(check, SetDemand(20.0), scaled({"ceiling": 161}))


def test_signals_that_do_not_see_refusals_are_named_where_requests_are_refused():
    async def check(cluster: Cluster, node: object) -> None:
        status, reason, message = agrees(cluster)
        assert (status, reason) == ("False", "RefusalsHidden")
        assert message.endswith("add {name: demand, target: 80%} to its signals")
        await cluster.apply(scaled(signals=[CPU, {"name": "demand"}]))
        await asyncio.sleep(30)
        assert agrees(cluster) == SEES
        await cluster.apply(scaled({"mode": "shadow"}, signals=[CPU]))
        await asyncio.sleep(30)
        assert condition(cluster, "Limited")[1] == "Shadow"
        assert agrees(cluster) == SEES
        await cluster.apply(scaled({"mode": "off"}, signals=[CPU]))
        await asyncio.sleep(30)
        assert agrees(cluster)[:2] == ("True", "Agrees")

    run(check, SetDemand(20.0), scaled(signals=[CPU]))


def hpa_of_others(*metrics: dict) -> dict:
    metadata = {"name": "theirs", "namespace": "search"}
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": KEY.name}, "maxReplicas": 9, "metrics": [*metrics]}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def test_an_autoscaler_of_others_on_cpu_does_not_see_them_either():
    async def check(cluster: Cluster, node: object) -> None:
        cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 60}}}
        await cluster.apply(hpa_of_others(cpu))
        await asyncio.sleep(30)
        assert agrees(cluster)[:2] == ("False", "RefusalsHidden")
        assert agrees(cluster)[2].startswith("autoscaler theirs looks at cpu alone")
        more = {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"averageValue": "15"}}}
        await cluster.apply(hpa_of_others(cpu, more))
        await asyncio.sleep(30)
        assert agrees(cluster) == SEES

    run(check, SetDemand(20.0), scaled())


async def bound(cluster: Cluster, hard: str, used: int) -> None:
    status = {"hard": {"requests.nvidia.com/gpu": hard}, "used": {"requests.nvidia.com/gpu": str(used)}}
    await cluster.client.merge(QUOTA, {"status": status}, "status")
    await cluster.client.merge(KEY, {"status": {"replicas": used, "updatedReplicas": used}}, "status")


def test_a_quota_that_cannot_hold_max_is_named_before_it_is_needed():
    load = SetDemand(20.0)

    async def check(cluster: Cluster, node: object) -> None:
        await cluster.client.create({"kind": "ResourceQuota", "metadata": {"name": "cards", "namespace": "search"}})
        await bound(cluster, "6", 2)
        await asyncio.sleep(90)
        message = (
            "max of version v1 is 8, and quota cards (requests.nvidia.com/gpu: 6) bears 6 replicas beside what else it "
            "holds; raise the quota, or lower max"
        )
        assert agrees(cluster) == ("False", "QuotaTooSmall", message)
        assert condition(cluster, "ScalingLimited")[0] == "False"
        load.demand = 100.0
        await asyncio.sleep(60)
        await bound(cluster, "6", 6)
        for _ in range(20):
            await asyncio.sleep(7)
            assert agrees(cluster) == ("False", "QuotaTooSmall", message)
        await bound(cluster, "8", 6)
        await asyncio.sleep(90)
        assert agrees(cluster) == SEES

    run(check, load, scaled())


NO_NODE = "0/5 nodes are available: 5 Insufficient nvidia.com/gpu."


async def find_no_node(cluster: Cluster, *pods: str) -> None:
    """Write of some pods what the scheduler says of one that no node can take."""
    moment = SimulatedClock().utc().isoformat()
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_NODE}
    status = {"conditions": [{**told, "lastTransitionTime": moment}]}
    for name in pods:
        await cluster.client.merge(ObjectKey("Pod", "search", name), {"status": status}, "status")


def test_nodes_that_cannot_hold_max_are_named_with_what_they_hold():
    load = SetDemand(20.0)

    async def check(cluster: Cluster, node: object) -> None:
        load.demand = 100.0
        await asyncio.sleep(20)
        assert replicas(cluster) == 6
        await find_no_node(cluster, "ranker-5", "ranker-6")
        await asyncio.sleep(25)
        assert agrees(cluster) == SEES  # a pod may look for a node for a moment
        await asyncio.sleep(10)
        assert agrees(cluster) == (
            "False",
            "NodesFull",
            f"autoscale.max is 8, and nodes hold 4 replicas of version v1: 2 more find none ({NO_NODE[:-1]}); add nodes, "
            "let replicas request less, or lower autoscale.max",
        )
        assert replicas(cluster) == 6  # what waits for a node is not taken for capacity, nor given up
        assert limit(cluster) == 80
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        for name in ("ranker-5", "ranker-6"):
            await cluster.client.merge(ObjectKey("Pod", "search", name), {"status": ready}, "status")
        await asyncio.sleep(5)
        assert agrees(cluster) == SEES

    run(check, load, scaled())


def test_nodes_that_cannot_hold_what_an_autoscaler_of_others_makes():
    async def check(cluster: Cluster, node: object) -> None:
        await cluster.apply(hpa_of_others({"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {}}}))
        await cluster.client.merge(KEY, {"spec": {"replicas": 3}})
        await asyncio.sleep(5)
        await find_no_node(cluster, "ranker-3")
        await asyncio.sleep(35)
        assert agrees(cluster)[:2] == ("False", "NodesFull")
        assert agrees(cluster)[2].startswith("maxReplicas of autoscaler theirs is 9, and nodes hold 2 replicas")
        await cluster.client.merge(KEY, {"spec": {"replicas": 2}})
        await asyncio.sleep(5)
        assert agrees(cluster) == SEES

    plain = {"name": "v1", "workload": {"image": "example.com/ranker:1"}}
    run(check, SetDemand(20.0), model(versions=[plain], rateLimit={"perReplicaQps": 20, "debounce": QUICK}))


@pytest.mark.parametrize(
    "condition",
    [
        {"reason": "SchedulingGated", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        {"reason": "Unschedulable"},
        {"reason": "Unschedulable", "lastTransitionTime": "yesterday"},
        {"reason": "Unschedulable", "lastTransitionTime": "2031-01-01T00:00:00Z"},
    ],
    ids=["gated", "without a moment", "odd moment", "in years"],
)
def test_pods_that_wait_for_something_else_say_nothing_of_nodes(condition: dict):
    async def check(cluster: Cluster, node: object) -> None:
        status = {"conditions": [{"type": "PodScheduled", "status": "False", **condition}]}
        await cluster.client.merge(ObjectKey("Pod", "search", "ranker-2"), {"status": status}, "status")
        await asyncio.sleep(60)
        assert agrees(cluster) == SEES

    run(check, SetDemand(20.0), scaled())


LATENCY = {"name": "latency", "target": "80ms", "weight": 0}


def test_a_figure_that_the_latency_does_not_bear_is_named_with_both():
    load = SetSignals(32.0, 0.12)

    async def check(cluster: Cluster, node: object) -> None:
        await asyncio.sleep(120)
        assert replicas(cluster) == 2
        assert agrees(cluster) == (
            "False",
            "FigureTooHigh",
            "at 16 requests/s per replica of version v1 the p95 is 120 ms, above its target 80 ms; measure what a replica "
            "bears (tidegate measure), then lower perReplicaQps or raise the target",
        )
        load.demand, load.latency = 10.0, 0.02  # what few requests take proves nothing
        await asyncio.sleep(600)
        assert agrees(cluster)[1] == "FigureTooHigh"
        load.demand = 32.0
        await asyncio.sleep(120)
        assert agrees(cluster) == SEES

    run(check, load, scaled(signals=[{"name": "demand", "target": "100%"}, LATENCY]))


def test_a_manager_that_begins_goes_on_with_what_was_found_of_the_same_figure():
    load = SetSignals(32.0, 0.12)
    signals = [{"name": "demand", "target": "100%"}, LATENCY]

    async def check(cluster: Cluster, node: object) -> None:
        await asyncio.sleep(120)
        found = agrees(cluster)
        assert found[1] == "FigureTooHigh"
        load.demand, load.latency = 10.0, 0.02  # what few requests take proves nothing
        await cluster.restart()
        for _ in range(20):
            await asyncio.sleep(7)
            assert agrees(cluster) == found
        await cluster.stop()
        await cluster.apply(scaled({"perReplicaQps": 15}, signals=signals))
        await cluster.restart()
        await asyncio.sleep(20)
        assert agrees(cluster) == SEES  # it was about another figure
        await cluster.apply(scaled(signals=signals))
        await asyncio.sleep(60)
        assert agrees(cluster) == SEES

    run(check, load, scaled(signals=signals))


@pytest.mark.parametrize(
    ("demand", "latency", "of_limit"),
    [(20.0, 0.12, {}), (32.0, 0.07, {}), (32.0, 0.12, {"ceiling": 25})],
    ids=["another load", "within the target", "a ceiling keeps the load lower"],
)
def test_what_proves_nothing_says_nothing(demand: float, latency: float, of_limit: dict):
    async def check(cluster: Cluster, node: object) -> None:
        await asyncio.sleep(200)
        assert limit(cluster) == (25 if of_limit else 40)
        assert agrees(cluster) == SEES

    run(check, SetSignals(demand, latency), scaled(of_limit, signals=[{"name": "demand", "target": "100%"}, LATENCY]))
