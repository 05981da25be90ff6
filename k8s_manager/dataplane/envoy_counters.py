"""The counter loop: reads what the gateway pods have counted in their slots.

From it come the evidence of models in shadow and ramp, and how even the load is over the pods of a gateway.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import aiohttp

from collectors import counters
from collectors.counters import Counts
from istio_templates import names
from istio_templates.facts import GatewayPool, LimitKey
from k8s_manager.dataplane.gateway_pools import GatewayPools
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.store import Store
from k8s_manager.limits.shadow_counts import ShadowCounts
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import poll
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.metrics import POD_REFUSED, POD_REQUESTS, SHADOW_REFUSED, SHADOW_REQUESTS
from k8s_manager.runtime.settings import Settings
from ratelimiter import fairness
from ratelimiter.fairness import PodLoad, Uneven
from ratelimiter.pins import counter, held, limiter

SPAN = 60.0  # seconds over which loads are compared
IN_FLIGHT = 32
AT_ONCE, PATIENCE = 16, 1.0
"""Gateways read at once, and the seconds for which a pass waits for one."""


@dataclass(slots=True)
class Read:
    """What was read of a gateway: when, the last counts of each pod, who was in each pair of slots then, and the loads
    of the last minute with their times."""

    at: float = float("-inf")
    counts: dict[str, Mapping[int, Counts]] = field(default_factory=dict)
    pairs: dict[int, LimitKey] = field(default_factory=dict)
    loads: list[tuple[float, dict[str, PodLoad]]] = field(default_factory=list)


class CounterLoop:
    """What the gateway pods count, and how even their load is; `changed` is set when that is another."""

    def __init__(
        self,
        store: Store,
        limits: GatewayPools,
        shadow_counts: ShadowCounts,
        clock: Clock,
        settings: Settings,
        changed: asyncio.Event,
    ) -> None:
        self._limits, self._shadow_counts, self._clock, self._changed = limits, shadow_counts, clock, changed
        self._port, self._seldom, self._often = settings.stats_port, settings.stats_every, settings.stats_every / 3
        self._reader = WorldReader(store)
        self._read: dict[str, Read] = {}
        self._uneven: dict[str, Uneven | None] = {}
        self._unread: dict[str, tuple[str, ...]] = {}
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self._effects = Effects(clock, asyncio.Event())
        self._lane = self._effects.lane("counters", AT_ONCE, PATIENCE, wakes=False)

    async def run(self) -> None:
        """Read until cancelled."""
        async with aiohttp.ClientSession(trust_env=False) as session:
            await poll("counters", partial(self.once, session), self._often, self._clock, self._effects)

    async def once(self, session: aiohttp.ClientSession) -> None:
        """Read the counters of the pods of every gateway that is due."""
        pools = dict(self._limits.pools)
        for name in self._read.keys() - pools.keys():
            self._forget(name, self._read[name].counts.keys())
            self._uneven.pop(name, None)
            self._unread.pop(name, None)
        self._read = {name: self._read.get(name, Read()) for name in pools}
        pairs = held(self._reader.slots.limits())
        now = self._clock.now()
        due = [n for n in pools if n in pairs or now - self._read[n].at > self._seldom - self._often / 2]
        await self._lane.run({name: partial(self._gateway, session, pools[name], pairs.get(name, {})) for name in due})
        self._shadow_counts.end_round({i for found in pairs.values() for i in found.values()})
        self._reader.end_round(0)

    def uneven(self, gateway: str) -> Uneven | None:
        """Return how uneven the load is over a gateway's pods; None where it is even or not known."""
        return self._uneven.get(gateway)

    def unread(self, gateway: str) -> tuple[str, ...] | None:
        """Return the gateway pods whose counters could not be read; None before the load could be compared."""
        return self._unread.get(gateway)

    def loads(self, gateway: str) -> dict[str, PodLoad]:
        """Return what came to each pod of a gateway in the last minute, by the readings in which all of them answered;
        empty before there was one."""
        read = self._read.get(gateway, Read())
        rounds = [each for _, each in read.loads if read.counts.keys() <= each.keys()]
        return {pod: fairness.summed(each[pod] for each in rounds) for pod in read.counts} if rounds else {}

    async def _gateway(self, session: aiohttp.ClientSession, pool: GatewayPool, pairs: dict[int, LimitKey]) -> None:
        pods = self._reader.pods.answering_pods(pool)
        answers = await asyncio.gather(*(self._pod(session, str(pod.address)) for pod in pods))
        counts = {pod.name: found for pod, found in zip(pods, answers, strict=True) if found is not None}
        if pool.name not in self._read:  # the gateway has gone meanwhile
            return
        before, now = self._read[pool.name], self._clock.now()
        added = {
            pod: {slot: counters.increase(before.counts[pod].get(slot, Counts()), c) for slot, c in found.items()}
            for pod, found in counts.items()
            if pod in before.counts
        }
        for pair, identity in pairs.items():
            if before.pairs.get(pair) == identity and added:
                self._count(identity, pair, added, (before.at, now))
        self._forget(pool.name, before.counts.keys() - counts.keys())
        for pod in counts:
            POD_REQUESTS.labels(pool.name, pod)
            POD_REFUSED.labels(pool.name, pod)
        loads = {pod: _load(found) for pod, found in added.items()}
        recent = [(at, each) for at, each in before.loads if at > now - SPAN]
        self._read[pool.name] = Read(now, counts, pairs, [*recent, (now, loads)])
        self._compare(pool.name)
        self._note_unread(pool.name, tuple(sorted(pod.name for pod in pods if pod.name not in counts)), bool(added))

    def _note_unread(self, gateway: str, unread: tuple[str, ...], is_compared: bool) -> None:
        """Note which pods did not answer; two readings of a pod have to be compared before the load is known."""
        if (unread or is_compared) and unread != self._unread.get(gateway):
            self._unread[gateway] = unread
            self._changed.set()

    def _forget(self, gateway: str, pods: Iterable[str]) -> None:
        for pod in pods:
            POD_REQUESTS.remove(gateway, pod)
            POD_REFUSED.remove(gateway, pod)

    async def _pod(self, session: aiohttp.ClientSession, address: str) -> Mapping[int, Counts] | None:
        async with self._places:
            return await counters.read(session, address, self._port)

    def _count(
        self, identity: LimitKey, pair: int, added: Mapping[str, Mapping[int, Counts]], span: tuple[float, float]
    ) -> None:
        none = Counts()
        refused = sum(found.get(limiter(pair), none).beyond for found in added.values())
        requests = sum(found.get(counter(pair), none).beyond for found in added.values())
        self._shadow_counts.add(identity, refused, requests, *span)
        namespace, name = identity.place
        place = namespace, f"httproute/{name}" if names.HTTP_ROUTE.fullmatch(identity.route) else name
        SHADOW_REFUSED.labels(*place).inc(refused)
        SHADOW_REQUESTS.labels(*place).inc(requests)

    def _compare(self, gateway: str) -> None:
        """Compare the loads of the last minute, over the pods that were read."""
        found = fairness.uneven(self.loads(gateway))
        if found != self._uneven.get(gateway):
            self._changed.set()
        self._uneven[gateway] = found
        for pod, load in self._read[gateway].loads[-1][1].items():
            POD_REQUESTS.labels(gateway, pod).inc(load.requests)
            POD_REFUSED.labels(gateway, pod).inc(load.refused)


def _load(added: Mapping[int, Counts]) -> PodLoad:
    """Return a pod's load: every request comes to its first slot, unless that is away; refusals are counted by each."""
    requests = max((found.requests for found in added.values()), default=0)
    return PodLoad(requests, sum(found.refused for found in added.values()))
