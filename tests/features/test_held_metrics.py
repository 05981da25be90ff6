"""Writer `hpa` while another owner has the cluster's external metrics: it is told, and the replicas stay."""

import asyncio

from k8s_manager.autoscaling.api_service import API_SERVICE
from tests.features.test_autoscale import Node, condition, replicas, run, scaled
from tests.support.demand import SetDemand
from tests.support.direct_api import Cluster, Fault

FOLLOWING = ("True", "Following")
THEIRS = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {"name": API_SERVICE.name},
    "spec": {"service": {"namespace": "keda", "name": "keda-metrics-apiserver"}, "group": "external.metrics.k8s.io"},
}


def scaling(cluster: Cluster) -> tuple[str, str]:
    return condition(cluster, "ScalingActive")[:2]


def test_external_metrics_that_another_owner_has_are_told_with_the_remedy_until_they_are_free():
    load = SetDemand(40.0)

    async def check(cluster: Cluster, node: Node) -> None:
        before = replicas(cluster)
        assert scaling(cluster) == FOLLOWING
        await cluster.apply(THEIRS)
        load.demand = 100.0
        await asyncio.sleep(40)
        status, reason, message = condition(cluster, "ScalingActive")
        assert (status, reason) == ("False", "MetricsHeldByOther")
        assert "held by keda/keda-metrics-apiserver" in message
        assert "set writer: keda or tidegate, or remove what holds it" in message
        assert replicas(cluster) == before
        await cluster.client.delete(API_SERVICE)
        await asyncio.sleep(40)
        assert scaling(cluster) == FOLLOWING

    run(check, load, scaled(writer="hpa"))


def test_a_version_that_needs_no_external_metrics_is_not_concerned():
    async def check(cluster: Cluster, node: Node) -> None:
        await cluster.apply(THEIRS)
        await asyncio.sleep(40)
        assert scaling(cluster) == FOLLOWING

    run(check, SetDemand(40.0))


def test_another_writer_is_the_remedy():
    load = SetDemand(100.0)

    async def check(cluster: Cluster, node: Node) -> None:
        await cluster.apply(THEIRS)
        await asyncio.sleep(40)
        assert scaling(cluster) == ("False", "MetricsHeldByOther")
        await cluster.apply(scaled(writer="tidegate"))
        await asyncio.sleep(40)
        assert scaling(cluster) == FOLLOWING
        assert replicas(cluster) == 6

    run(check, load, scaled(writer="hpa"))


def test_while_it_cannot_be_read_the_last_reading_holds():
    async def check(cluster: Cluster, node: Node) -> None:
        await cluster.apply(THEIRS)
        await asyncio.sleep(40)
        fault = Fault("GET", API_SERVICE.name, times=1000, status=503)
        cluster.session.faults.append(fault)
        await asyncio.sleep(60)
        assert fault.met > 1 and scaling(cluster) == ("False", "MetricsHeldByOther")

    run(check, SetDemand(40.0), scaled(writer="hpa"))
