"""A collector that reads Kafka as a process: its parts, and where Prometheus reads it."""

import logging
import socket
from collections.abc import Sequence

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from k8s_manager.api.listener.server import serve
from k8s_manager.collector.kafka.cluster import KafkaCluster
from k8s_manager.collector.kafka.line_collector import LineCollector
from k8s_manager.collector.kafka.topic_metrics import topic_metrics
from k8s_manager.collector.probe_pages import probed
from k8s_manager.collector.request_metrics import Snapshot
from k8s_manager.collector.sinks.row_sink import RowSink
from k8s_manager.manager import stop_signal, until
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.traces.span_endpoint import recording
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder

log = logging.getLogger(__name__)


def application(collector: LineCollector, spans: SpanRecorder = NO_SPANS) -> FastAPI:
    """Return what a collector shows: whether it lives, whether it reads and writes, and its metrics."""

    def problems() -> list[str]:
        return [problem for problem in (collector.topic.problem, collector.problem) if problem]

    def registries() -> list[CollectorRegistry]:
        registry = CollectorRegistry()
        registry.register(collector.metrics.snapshot())
        registry.register(Snapshot(topic_metrics(collector)))
        return [registry]

    return probed("Tidegate collector", problems, registries, spans)


async def run(
    cluster: KafkaCluster,
    topic: str,
    group: str,
    sinks: Sequence[RowSink],
    late: int,
    listen: tuple[str, int],
    traces_url: str | None = None,
) -> None:
    """Read the lines of a topic until SIGTERM or SIGINT. Raises `KafkaAbsent`, and `Stalled`."""
    stop = stop_signal()
    async with recording(traces_url, "tidegate-collector", socket.gethostname()) as spans:
        collector = LineCollector(cluster, topic, group, sinks, SystemClock(), late, spans)
        await until(stop, collector.run(), serve(application(collector, spans), listen, stop))
    log.info("stopped")
