"""The collector as a process: its parts, and where Prometheus reads it."""

import asyncio
import logging
import signal
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry, generate_latest

from k8s_manager.api.listener.server import serve
from k8s_manager.collector.collector import Collector
from k8s_manager.kube.config import connect
from k8s_manager.manager import until
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.metrics import REGISTRY

log = logging.getLogger(__name__)


def application(collector: Collector) -> FastAPI:
    """Return what a collector shows: whether it lives and has read the cluster, and its metrics."""
    app = FastAPI(title="Tidegate collector", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok\n"

    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> Response:
        if collector.store.synced.is_set():
            return PlainTextResponse("ok\n")
        problems = [watcher.problem for watcher in collector.watchers if watcher.problem]
        return PlainTextResponse("; ".join(problems or ["the cluster is being read"]) + "\n", 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        requests = CollectorRegistry()
        requests.register(collector.metrics.snapshot())
        pages = [await asyncio.to_thread(generate_latest, registry) for registry in (requests, REGISTRY)]
        return PlainTextResponse(b"".join(pages), media_type="text/plain; version=0.0.4")

    return app


async def run(kubeconfig: Path | None, listen: tuple[str, int]) -> None:
    """Follow the gateway pods of a cluster until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await connect(kubeconfig) as client:
        collector = Collector(client, SystemClock())
        watching = [watcher.run() for watcher in collector.watchers]
        await until(stop, *watching, collector.run(), serve(application(collector), listen, stop))
    log.info("stopped")
