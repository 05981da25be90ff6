"""The parts of the external metrics in one manager: what it serves, and what it writes while it leads."""

import asyncio
from dataclasses import dataclass

from k8s_manager.external_metrics.access_review import AccessReviews
from k8s_manager.external_metrics.app import ExternalMetricsApp
from k8s_manager.external_metrics.listener import MetricsListener
from k8s_manager.external_metrics.registration import ApiRegistration, ServingPlace
from k8s_manager.external_metrics.replica_metric import ReplicaMetric
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ExternalMetrics:
    """The listener with its application, for every manager, and the registration, for the leader."""

    listener: MetricsListener
    app: ExternalMetricsApp
    registration: ApiRegistration

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`."""
        await self.listener.run(self.app, stop)


def external_metrics(
    client: KubeClient, leader: FencedClient, store: Store, clock: Clock, settings: Settings
) -> ExternalMetrics | None:
    """Return the parts; None where the settings do not ask for external metrics."""
    if settings.external_metrics_listen is None:
        return None
    place = ServingPlace(settings.external_metrics_service)
    listener = MetricsListener(client, clock, place, settings.external_metrics_listen)
    app = ExternalMetricsApp(ReplicaMetric(store), AccessReviews(client, clock), lambda: listener.trust, clock)
    return ExternalMetrics(listener, app, ApiRegistration(leader, clock, place))
