"""The collector's loop: follow each gateway pod, close windows, keep rows, forget old ones."""

import asyncio
import logging

from collectors.access_log.engine import Engine
from collectors.access_log.rows import WINDOW, StatsRow
from collectors.request_statistics.request_totals import RequestTotals
from collectors.request_statistics.series import FINE, RowSeries
from k8s_manager.collector.gateway_logs import KINDS, GatewayLogs
from k8s_manager.collector.pod_log import PodLog
from k8s_manager.collector.request_metrics import RequestMetrics
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.kube.store import Store
from k8s_manager.kube.watch import Watcher
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)
EVERY = 1.0
"""Seconds between two looks at pods and clock."""


class Collector:
    """Follows all gateway pods of a cluster."""

    def __init__(self, client: KubeClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self.store = Store(KINDS, clock)
        self.watchers = [Watcher(client, self.store, RESOURCES[kind], clock) for kind in KINDS]
        now = int(clock.utc().timestamp())
        self.engine, self.series, self.totals = Engine(), RowSeries(), RequestTotals(now // WINDOW * WINDOW)
        self.metrics = RequestMetrics(self.totals, self.engine.counts)
        self._since = now - FINE
        self._logs = GatewayLogs(self.store)
        self._followed: dict[str, tuple[PodLog, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Run until cancelled."""
        await self.store.synced.wait()
        try:
            while True:
                self._look()
                await self._clock.wait(asyncio.Event(), EVERY)
        finally:
            for _, task in self._followed.values():
                task.cancel()

    def _look(self) -> None:
        self.engine.know(self._logs.routes())
        pods = self._logs.pods()
        for source in [name for name in self._followed if name not in pods]:
            followed, task = self._followed.pop(source)
            task.cancel()
            followed.end()
            log.info("the gateway pod %s is gone", source)
        for source in [name for name in pods if name not in self._followed]:
            followed = PodLog(source, pods[source], self._since, self._client, self.engine, self._keep, self._clock)
            self._followed[source] = followed, asyncio.create_task(followed.run())
            log.info("following the log of the gateway pod %s", source)
        for followed, task in self._followed.values():
            followed.rest()
            if task.done():
                task.result()
        now = self._clock.utc().timestamp()
        self.series.age(now)
        self.totals.age(now)
        self._measure()

    def _keep(self, rows: list[StatsRow]) -> None:
        self.totals.add(self.series.put(rows))

    def _measure(self) -> None:
        self.metrics.pods = len(self._followed)
        self.metrics.lag = max((followed.lag() for followed, _ in self._followed.values()), default=0.0)
        self.metrics.unread = sum(followed.problem is not None for followed, _ in self._followed.values())
