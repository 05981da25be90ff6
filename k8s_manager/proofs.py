"""The proof loop: asks every gateway pod which limits it runs, and compares with what was written.

It asks often while something is on its way and seldom when all is proved. What no gateway pod takes is rolled back to
what was proved last; what was proved stays written until something else is wanted.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from collectors import probe
from collectors.replicas import PodSeen
from istio_templates import names
from istio_templates.envoy_filter import revision
from istio_templates.facts import GatewayPool, SlotFacts
from k8s_manager.clock import Clock
from k8s_manager.events import Events
from k8s_manager.gather import Gatherer
from k8s_manager.kube.store import Store
from k8s_manager.limits import LimitLoop
from k8s_manager.metrics import EFFECT, PROVED
from k8s_manager.settings import Settings
from ratelimiter.controller import Limits, Slot
from ratelimiter.proof import Proof, Written, judge, rejected_by_all

log = logging.getLogger(__name__)
FAST, SLOW = 0.1, 15.0
Trouble = tuple[tuple[str, str, tuple[int, ...]], ...]  # (pod, state, slots)
IN_FLIGHT = 32


@dataclass(slots=True)
class Seen:
    """What is known of a gateway: what was written, what was proved last, how far each of its pods is and when it
    answered last, and the slots that were written while there were pods to prove them."""

    written: dict[int, Written] = field(default_factory=dict)
    limits: dict[int, Limits] = field(default_factory=dict)
    good: dict[int, Limits] = field(default_factory=dict)
    proofs: dict[str, Proof] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    unproved: dict[int, float] = field(default_factory=dict)

    def trouble(self) -> Trouble:
        """Return (pod, state, slots) of the pods that are not as they should be, those on their way left out."""
        bad = {pod: proof for pod, proof in self.proofs.items() if proof.state in ("Rejected", "NoAnswer")}
        return tuple((pod, proof.state, tuple(sorted(proof.behind))) for pod, proof in sorted(bad.items()))


class ProofLoop:
    """Knows for every gateway pod whether it runs what was written."""

    def __init__(self, store: Store, limits: LimitLoop, clock: Clock, settings: Settings, events: Events) -> None:
        self._limits, self._clock, self._events = limits, clock, events
        self._gatherer, self._patience = Gatherer(store), settings.proof_patience
        self._seen: dict[str, Seen] = {}
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self.changed = asyncio.Event()

    async def run(self) -> None:
        """Ask again and again until cancelled."""
        async with aiohttp.ClientSession(trust_env=False) as session:
            while True:
                try:
                    settled = await self.once(session)
                except Exception:
                    log.exception("the gateway pods were not asked; it is tried again")
                    settled = False
                await self._clock.wait(self._limits.wrote, SLOW if settled else FAST)
                self._limits.wrote.clear()

    async def once(self, session: aiohttp.ClientSession) -> bool:
        """Ask every gateway pod once; tell whether all is proved."""
        pools = {name: pool for name, pool in self._limits.pools.items() if _port(pool)}
        self._seen = {name: self._seen.get(name, Seen()) for name in pools}
        slots = self._gatherer.slots()
        await asyncio.gather(*(self._gateway(session, pool, slots) for pool in pools.values()))
        self._gatherer.end_round(0)
        proofs = [proof.state for seen in self._seen.values() for proof in seen.proofs.values()]
        for state in ("Applied", "Pending", "Rejected", "NoAnswer"):
            PROVED.labels(state).set(proofs.count(state))
        return "Pending" not in proofs

    def of(self, gateway: str) -> Mapping[str, Proof]:
        """Return how far each pod of a gateway is, by its name."""
        return self._seen[gateway].proofs if gateway in self._seen else {}

    def trouble(self, gateway: str) -> Trouble | None:
        """Return the pods of a gateway that are not as they should be; None where nothing is known yet."""
        return self._seen[gateway].trouble() if gateway in self._seen and self._seen[gateway].proofs else None

    async def _gateway(self, session: aiohttp.ClientSession, pool: GatewayPool, slots: Mapping[Slot, Limits]) -> None:
        seen, before = self._seen[pool.name], self._seen[pool.name].trouble()
        self._note_written(seen, pool, slots)
        pods = [pod for pod in self._gatherer.gateway_pods_of(pool) if pod.ready and not pod.leaving and pod.address]
        found = await asyncio.gather(*(self._pod(session, seen, pool, pod) for pod in pods))
        seen.proofs = dict(zip((pod.name for pod in pods), found, strict=True))
        self._note_proved(seen)
        for slot in rejected_by_all(seen.proofs):
            if seen.good.get(slot) not in (None, seen.limits[slot]):
                self._limits.roll_back((pool.name, slot), seen.limits[slot], seen.good[slot])
        if seen.trouble() != before:
            self._announce(pool.name, seen)

    def _note_written(self, seen: Seen, pool: GatewayPool, slots: Mapping[Slot, Limits]) -> None:
        now = self._clock.now()
        for (name, number), limits in slots.items():
            if name == pool.name and seen.limits.get(number) != limits:
                seen.limits[number] = limits
                seen.written[number] = Written(revision(SlotFacts(pool, number, limits)), now)
                if seen.proofs:
                    seen.unproved[number] = now

    async def _pod(self, session: aiohttp.ClientSession, seen: Seen, pool: GatewayPool, pod: PodSeen) -> Proof:
        assert pod.address is not None and pool.probe is not None
        async with self._places:
            running = await probe.running(session, pod.address, _port(pool), pool.probe)
        now = self._clock.now()
        if running is not None or pod.name not in seen.answered:
            seen.answered[pod.name] = now
        return judge(seen.written, running, now - seen.answered[pod.name], now, self._patience)

    def _note_proved(self, seen: Seen) -> None:
        """Note the slots that every gateway pod runs as written, and how long it took."""
        behind = frozenset().union(*(proof.behind for proof in seen.proofs.values()))
        seen.answered = {pod: at for pod, at in seen.answered.items() if pod in seen.proofs}
        if not seen.proofs:
            return
        seen.good |= {slot: limits for slot, limits in seen.limits.items() if slot not in behind}
        for slot in seen.unproved.keys() - behind:
            EFFECT.observe(self._clock.now() - seen.unproved.pop(slot))

    def _announce(self, gateway: str, seen: Seen) -> None:
        told = (
            "; ".join(f"{pod}: {state}" for pod, state, _ in seen.trouble()) or "all gateway pods run what was written"
        )
        self._events.publish("proof", gateway, told)
        self.changed.set()


def _port(pool: GatewayPool) -> int:
    """Return the port on which the probe is answered; 0 where there is none."""
    listener = names.plain_listener(pool)
    return listener.port if listener and pool.probe else 0
