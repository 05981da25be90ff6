"""Autoscalers that do not apply the decided number: a condition names the remedy, and the replicas stay."""

import asyncio

from istio_templates.facts import ObjectKey
from k8s_manager.autoscaling.api_service import API_SERVICE
from tests.features.test_autoscale import Node, condition, replicas, run, scaled
from tests.support.demand import SetDemand
from tests.support.direct_api import Cluster, Fault
from tests.support.keda import scaled_object_crd

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


UNAUTHORIZED = "/v1/tenants/search/models/ranker/versions/v1/replicas: api returned 401"


async def say(cluster: Cluster, kind: str, *conditions: dict[str, str]) -> None:
    """Write conditions of an autoscaler as its controller does, and let the manager look."""
    key = ObjectKey(kind, "search", "ranker-v1")
    await cluster.client.merge(key, {"status": {"conditions": list(conditions)}}, "status")
    await asyncio.sleep(40)


def test_what_keda_says_of_why_it_does_not_scale_is_told_until_it_does():
    """Such as a token that is refused, or a person who paused it."""

    async def check(cluster: Cluster, node: Node) -> None:
        await cluster.apply(scaled_object_crd(), scaled(writer="keda"))
        await asyncio.sleep(40)
        assert scaling(cluster) == FOLLOWING
        ready = {"type": "Ready", "status": "False", "reason": "TriggerError", "message": "Triggers do not work"}
        active = {"type": "HPAActive", "status": "False", "reason": "FailedGetExternalMetric", "message": UNAUTHORIZED}
        await say(cluster, "ScaledObject", ready, active)
        status, reason, message = condition(cluster, "ScalingActive")
        assert (status, reason) == ("False", "NotApplied")
        assert f"ScaledObject search/ranker-v1 says '{UNAUTHORIZED}'" in message and "KEDA's operator" in message
        await say(cluster, "ScaledObject", {**ready, "status": "True"}, {**active, "status": "True"})
        assert scaling(cluster) == FOLLOWING
        await say(cluster, "ScaledObject", {"type": "Paused", "status": "True", "message": "ScaledObject is paused"})
        assert scaling(cluster) == ("False", "NotApplied")

    run(check, SetDemand(40.0))


def test_what_an_hpa_says_of_why_it_does_not_scale_is_told():
    """Such as one beside managers that serve no external metrics."""

    async def check(cluster: Cluster, node: Node) -> None:
        said = {"type": "ScalingActive", "status": "False", "reason": "FailedGetExternalMetric", "message": "no API"}
        await say(cluster, "HorizontalPodAutoscaler", said)
        assert scaling(cluster) == ("False", "NotApplied")
        await say(cluster, "HorizontalPodAutoscaler", {**said, "reason": "ScalingDisabled"})
        assert scaling(cluster) == FOLLOWING

    run(check, SetDemand(40.0), scaled(writer="hpa"))
