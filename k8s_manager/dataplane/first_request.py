"""When each replica got its first request through a gateway: the moment at which its warm-up has paid off, or not.

For replicas that were ready before this manager began to read a gateway it is not known. All is forgotten when the
manager restarts.
"""

import asyncio
from datetime import datetime
from functools import partial

import aiohttp

from collectors import endpoints
from istio_templates.facts import GatewayPool, Manifest
from istio_templates.workloads.pod_phase import has_ended
from k8s_manager.dataplane.gateway_pools import GatewayPools
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import poll
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.metrics import FIRST_REQUEST
from k8s_manager.runtime.settings import Settings

AT_ONCE, PATIENCE = 16, 1.0


class FirstRequestLoop:
    """Reads which replicas the gateway pods have sent requests to."""

    def __init__(self, store: Store, limits: GatewayPools, clock: Clock, settings: Settings) -> None:
        self._store, self._limits, self._clock = store, limits, clock
        self._port, self._every = settings.stats_port, settings.stats_every / 3
        self._reader = WorldReader(store)
        self._moments: dict[str, datetime | None] = {}
        self._since: dict[str, datetime] = {}
        self._effects = Effects(clock, asyncio.Event())
        self._lane = self._effects.lane("first requests", AT_ONCE, PATIENCE, wakes=False)
        self._leads = True

    def of(self, uid: str) -> datetime | None:
        """Return when a pod got its first request; None where it got none yet, or that is not known."""
        return self._moments.get(uid)

    async def run(self, leads: bool = True) -> None:
        """Read until cancelled; only a leader counts for the metric."""
        self._leads = leads
        async with aiohttp.ClientSession(trust_env=False) as session:
            await poll("first requests", partial(self.once, session), self._every, self._clock, self._effects)

    async def once(self, session: aiohttp.ClientSession) -> None:
        """Read every gateway that counts by endpoint."""
        pools = [pool for pool in self._limits.pools.values() if pool.endpoint_stats]
        now = self._clock.utc()
        self._since = {pool.name: self._since.get(pool.name, now) for pool in pools}
        await self._lane.run({pool.name: partial(self._gateway, session, pool) for pool in pools})
        self._reader.end_round(0)
        if self._moments:
            there = {pod["metadata"]["uid"] for pod in self._store.all("Pod")}
            self._moments = {uid: moment for uid, moment in self._moments.items() if uid in there}

    async def _gateway(self, session: aiohttp.ClientSession, pool: GatewayPool) -> None:
        pods = [str(pod.address) for pod in self._reader.pods.answering_pods(pool)]
        answers = await asyncio.gather(*(endpoints.read(session, address, self._port) for address in pods))
        busy = {address for counts in answers if counts for address, count in counts.items() if count}
        if pool.name in self._since:
            self._note(busy, pool.name)

    def _note(self, busy: set[str], gateway: str) -> None:
        """Note the replicas at these addresses. Those that were ready before the gateway began to count may have had
        requests then, at a moment that is not known."""
        now, since = self._clock.utc(), self._since[gateway].replace(microsecond=0)
        for pod in self._store.all("Pod") if busy else ():
            uid, ready = pod["metadata"]["uid"], _ready_since(pod)
            if ready is None or uid in self._moments or pod["status"].get("podIP") not in busy:
                continue
            self._moments[uid] = now if ready >= since else None
            if ready >= since and self._leads:
                FIRST_REQUEST.observe(max(0.0, (now - ready).total_seconds()))


def _ready_since(pod: Manifest) -> datetime | None:
    for condition in () if has_ended(pod) else (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            try:
                return datetime.fromisoformat(condition["lastTransitionTime"])
            except (KeyError, TypeError, ValueError):
                return None
    return None
