"""What the manager measures by beside its watches: Prometheus, collectors, `metrics.k8s.io`, as the settings say."""

from dataclasses import dataclass
from functools import partial

from collectors.prometheus import Prometheus
from k8s_manager.autoscaling.readings.signal_readers import SignalReaders
from k8s_manager.autoscaling.signal_source import SignalSource
from k8s_manager.gather.pod_reader import PodReader
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.store import Store
from k8s_manager.release.gateway_counts import GatewayCounts
from k8s_manager.release.live.live_figures import LiveFigures
from k8s_manager.release.release_source import MeasuredReleases, ReleaseSource
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.settings import Settings
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.statistics.request_stats import RequestStats
from k8s_manager.statistics.usage.metrics_api import MetricsApi
from k8s_manager.statistics.usage.prometheus_server import PrometheusServer
from k8s_manager.statistics.usage.prometheus_usage import PrometheusUsage
from k8s_manager.statistics.usage.usage_reader import UsageReader
from k8s_manager.traces.spans import SpanRecorder


@dataclass(frozen=True, slots=True)
class Measurements:
    """Replica counts beside the watch (None: nothing counts them), requests, what pods use, the signals of
    autoscaled versions, what releases go by, and what selections do."""

    replicas: Prometheus | None
    requests: RequestStats
    usage: UsageReader
    signals: SignalSource
    outcomes: ReleaseSource
    live: LiveFigures


def measurements_of(
    client: KubeClient,
    store: Store,
    clock: Clock,
    settings: Settings,
    signals: SignalSource | None,
    outcomes: ReleaseSource | None,
) -> Measurements:
    """Return what the settings name; `signals` and `outcomes` instead of their sources, where they are given."""
    collectors, prometheus = _collectors(settings, client.spans), _prometheus(settings)
    usage = UsageReader(PrometheusUsage(prometheus) if prometheus else MetricsApi(client), clock)
    sources = signals or SignalReaders(collectors, usage, partial(store.inside, "Pod"), prometheus, clock)
    mirrored = GatewayCounts(PodReader(store).answering_pods, settings.stats_port, clock)
    releases = outcomes or MeasuredReleases(collectors, prometheus, clock, mirrored)
    live = LiveFigures(collectors, prometheus, clock)
    return Measurements(_replica_source(settings), RequestStats(collectors, clock), usage, sources, releases, live)


def _collectors(settings: Settings, spans: SpanRecorder) -> CollectorPool | None:
    url = settings.collectors_url
    return CollectorPool(url, settings.collectors_token_file, spans) if url else None


def _prometheus(settings: Settings) -> PrometheusServer | None:
    if settings.prometheus_url is None:
        return None
    return PrometheusServer(settings.prometheus_url, settings.prometheus_token_file, settings.prometheus_ca_file)


def _replica_source(settings: Settings) -> Prometheus | None:
    """Return what counts replicas beside the watch; None where nothing does."""
    if settings.prometheus_url is None or settings.replica_source == "watch":
        return None
    return Prometheus(settings.prometheus_url, settings.prometheus_token_file, settings.prometheus_ca_file)
