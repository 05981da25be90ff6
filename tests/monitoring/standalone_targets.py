"""What Prometheus is to scrape of a standalone, and servers of what a standalone has not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import yaml
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from collectors.access_log.line_counts import LineCounts
from collectors.request_statistics.request_totals import RequestTotals
from k8s_manager.collector.request_metrics import RequestMetrics
from k8s_manager.runtime.metrics import (
    REGISTRY,
    REGISTRY_READS,
    RELEASE_BLOCKED,
    RELEASE_CHECKS,
    RELEASE_WAITING,
    RELEASE_WEIGHT,
    RELEASES,
    SOURCE_READS,
)
from tests.monitoring.exporters import Exporters
from tests.monitoring.files import ROOT
from tests.monitoring.kafka_metrics import kafka_registries
from tests.monitoring.targets import Target, target
from tests.support.serving import serving
from tests.support.standalone import Running

RARE = (
    "tidegate_replica_source_reads_total",
    "tidegate_releases_total",
    "tidegate_release_external_checks_total",
    "tidegate_release_weight",
    "tidegate_release_blocked",
    "tidegate_release_waiting",
    "tidegate_registry_reads_total",
)


async def rare_of_manager(_: web.Request) -> web.Response:
    """Show what a manager has only with another source of replica counts, and while a version is released."""
    SOURCE_READS.labels("success").inc()
    RELEASES.labels("promoted").inc()
    REGISTRY_READS.labels("success").inc()
    RELEASE_CHECKS.labels("webhook", "passed").inc()
    RELEASE_WEIGHT.labels("search", "ranker", "v2").set(5)
    RELEASE_BLOCKED.labels("search", "ranker", "v3").set(1)
    RELEASE_WAITING.labels("search", "ranker", "NotApproved").set(1)
    return web.Response(body=generate_latest(REGISTRY.restricted_registry(RARE)))


async def sinks_of_collector(_: web.Request) -> web.Response:
    """Show a collector with a sink, and what a standalone has no Kafka for."""
    metrics, registry = RequestMetrics(RequestTotals(0), LineCounts()), CollectorRegistry()
    metrics.sink_failures, metrics.sink_waiting = {"rows": 0}, {"rows": 3}
    metrics.sink_refused, metrics.sink_dropped = {"rows": 0}, {"rows": 0}
    registry.register(metrics.snapshot())
    return web.Response(body=b"".join(map(generate_latest, (registry, *kafka_registries()))))


@asynccontextmanager
async def targets_of(run: Running) -> AsyncIterator[dict[str, list[Target]]]:
    """Serve what a standalone has not; yield the targets of all jobs, and some that no job is to take."""
    shown = Exporters(run.kubernetes)
    async with (
        serving("/metrics/cadvisor", shown.cadvisor) as cadvisor,
        serving("/metrics", shown.state_metrics) as state_metrics,
        serving("/metrics", shown.dcgm) as dcgm,
        serving("/metrics", rare_of_manager) as manager,
        serving("/metrics", sinks_of_collector) as collector,
    ):
        node = {"targets": [f"127.0.0.1:{cadvisor}"], "labels": {"__meta_kubernetes_node_name": "standalone"}}
        yield {
            "tidegate-gateway": await gateway_ports(run),
            "tidegate-manager": manager_ports([(run.folder / "address").read_text().strip(), f"127.0.0.1:{manager}"]),
            "tidegate-collector": collector_ports(run, collector),
            "cadvisor": [node],
            "kube-state-metrics": [other(state_metrics, port, "kube-state-metrics") for port in (8080, 8081)],
            "dcgm-exporter": [other(dcgm, 9400, "dcgm-exporter"), other(dcgm, 9400, "another")],
        }


def other(port: int, number: int, name: str) -> Target:
    """Return a port of a part that is not Tidegate's."""
    return target(f"127.0.0.1:{port}", system_pod(name), port_number=number)


def system_pod(name: str) -> dict[str, Any]:
    """Return a pod that is known by the usual label."""
    labels = {"app.kubernetes.io/name": name}
    return {"metadata": {"name": f"{name}-0", "namespace": "tidegate-system", "labels": labels}}


def manager_ports(addresses: list[str]) -> list[Target]:
    """Return the ports of the shipped manager's pods, at the addresses of managers that run here."""
    documents = yaml.safe_load_all((ROOT / "manifests" / "manager.yaml").read_text())
    (template,) = [obj["spec"]["template"] for obj in documents if obj["kind"] == "Deployment"]
    (port,) = [one for one in template["spec"]["containers"][0]["ports"] if one["name"] == "http"]
    pods = [{"metadata": {**template["metadata"], "name": f"tidegate-{number}"}} for number in range(len(addresses))]
    return [target(address, pod, port["name"]) for address, pod in zip(addresses, pods, strict=True)]


def collector_ports(run: Running, sinks: int) -> list[Target]:
    """Return the port of the standalone's collector, and that of one with a sink."""
    ports = [int((run.folder / "collector-port").read_text()), sinks]
    pods = [{"metadata": {**system_pod("tidegate-collector")["metadata"], "name": f"collector-{n}"}} for n in (0, 1)]
    return [target(f"127.0.0.1:{port}", pod, "http") for port, pod in zip(ports, pods, strict=True)]


async def gateway_ports(run: Running) -> list[Target]:
    """Return Envoy's ports of all pods, gateways or not, and another port of each."""
    found = []
    for pod in (await run.kubernetes("/api/v1/pods"))["items"]:
        address = f"{pod['status'].get('podIP')}:15090"
        found += [target(address, pod, "http-envoy-prom", 15090), target(address, pod, "http", 8080)]
    return found
