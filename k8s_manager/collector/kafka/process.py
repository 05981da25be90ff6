"""A collector that reads Kafka as a process: its parts, and where Prometheus reads it."""

import asyncio
import logging
import signal
from collections.abc import Sequence

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry, generate_latest

from k8s_manager.api.listener.server import serve
from k8s_manager.collector.kafka.cluster import KafkaCluster
from k8s_manager.collector.kafka.line_collector import LineCollector
from k8s_manager.collector.kafka.topic_metrics import topic_metrics
from k8s_manager.collector.request_metrics import Snapshot
from k8s_manager.collector.sinks.row_sink import RowSink
from k8s_manager.manager import until
from k8s_manager.runtime.clock import SystemClock

log = logging.getLogger(__name__)
METRICS_TYPE = "text/plain; version=0.0.4"


def application(collector: LineCollector) -> FastAPI:
    """Return what a collector shows: whether it lives, whether it reads and writes, and its metrics."""
    app = FastAPI(title="Tidegate collector", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok\n"

    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> Response:
        problems = [problem for problem in (collector.topic.problem, collector.problem) if problem]
        return PlainTextResponse("; ".join(problems or ["ok"]) + "\n", 503 if problems else 200)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        registry = CollectorRegistry()
        registry.register(collector.metrics.snapshot())
        registry.register(Snapshot(topic_metrics(collector)))
        return PlainTextResponse(await asyncio.to_thread(generate_latest, registry), media_type=METRICS_TYPE)

    return app


async def run(
    cluster: KafkaCluster, topic: str, group: str, sinks: Sequence[RowSink], late: int, listen: tuple[str, int]
) -> None:
    """Read the lines of a topic until SIGTERM or SIGINT. Raises `KafkaAbsent`, and `Stalled`."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    collector = LineCollector(cluster, topic, group, sinks, SystemClock(), late)
    await until(stop, collector.run(), serve(application(collector), listen, stop))
    log.info("stopped")
