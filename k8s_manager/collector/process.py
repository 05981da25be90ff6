"""The collector as a process: its parts, where Prometheus reads it, and where managers ask it for rows."""

import logging
import secrets
import socket

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from k8s_manager.api.authn.authenticators import Authenticator, Authenticators
from k8s_manager.api.authn.own_token import Token, given_token
from k8s_manager.api.authn.token_review import TokenReviews
from k8s_manager.api.listener.server import serve
from k8s_manager.collector import row_endpoint
from k8s_manager.collector.collector import Collector
from k8s_manager.collector.membership import Membership
from k8s_manager.collector.probe_pages import probed
from k8s_manager.collector.row_endpoint import RowReaders
from k8s_manager.collector.settings import CollectorSettings
from k8s_manager.collector.sinks.parquet_sink import ParquetSink
from k8s_manager.collector.sinks.sink_address import sink_at
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.config import connect
from k8s_manager.manager import stop_signal, until
from k8s_manager.runtime.clock import Clock, SystemClock
from k8s_manager.runtime.metrics import REGISTRY
from k8s_manager.traces.span_endpoint import recording
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder

log = logging.getLogger(__name__)


def application(collector: Collector, readers: RowReaders, spans: SpanRecorder = NO_SPANS) -> FastAPI:
    """Return what a collector shows: whether it lives and has read the cluster, its metrics and rows."""

    def registries() -> list[CollectorRegistry]:
        requests = CollectorRegistry()
        requests.register(collector.metrics.snapshot())
        return [requests, REGISTRY]

    app = probed("Tidegate collector", lambda: _problems(collector), registries, spans)
    row_endpoint.add(app, collector, readers)
    return app


def _problems(collector: Collector) -> list[str]:
    """Return why a collector is not ready."""
    if collector.membership is not None and not collector.membership.members:
        return ["the Leases of collectors cannot be read or renewed"]
    if collector.store.synced.is_set():
        return []
    return [watcher.problem for watcher in collector.watchers if watcher.problem] or ["the cluster is being read"]


def _readers(settings: CollectorSettings, client: KubeClient, clock: Clock) -> RowReaders:
    proofs: list[Authenticator] = []
    if settings.token_file:
        proofs.append(Token(given_token(settings.token_file)))
    if settings.token_review:
        proofs.append(TokenReviews(client, clock, settings.token_review))
    return RowReaders(Authenticators(proofs), settings.readers)


async def run(settings: CollectorSettings) -> None:
    """Follow the gateway pods of a cluster until SIGTERM or SIGINT."""
    stop = stop_signal()
    identity = f"{socket.gethostname().lower()}-{secrets.token_hex(2)}"
    async with (
        recording(settings.traces_url, "tidegate-collector", identity) as spans,
        await connect(settings.kubeconfig, spans) as client,
    ):
        clock = SystemClock()
        shared = Membership(client, clock, settings.namespace, identity) if settings.namespace else None
        sinks = [sink_at(one, settings.sink_credentials.get(one), clock) for one in settings.sinks]
        for sink in sinks:
            if isinstance(sink, ParquetSink):
                await sink.take()
        collector = Collector(client, clock, shared, sinks)
        parts = [*(watcher.run() for watcher in collector.watchers), *([shared.run()] if shared else [])]
        app = application(collector, _readers(settings, client, clock), spans)
        await until(stop, *parts, collector.run(), serve(app, settings.listen, stop))
    log.info("stopped")
