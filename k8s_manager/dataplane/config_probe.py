"""The proof loop: asks every gateway pod which limits it runs, and compares with what was written.

It asks often where something is on its way and seldom where all is proved. What no gateway pod takes is rolled back to
what was proved last, if that admits no more, and tried again later.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from collectors import istiod, probe
from collectors.replicas import PodState, pod_seen
from istio_templates import names
from istio_templates.envoy_filter import revision
from istio_templates.facts import GatewayPool, SlotFacts
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.store import Store
from k8s_manager.limits.limit_loop import LimitLoop
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.metrics import EFFECT, PROVED
from k8s_manager.runtime.settings import Settings
from ratelimiter import config_probe
from ratelimiter.config_probe import Lag, PodConfigState
from ratelimiter.controller import Limits

log = logging.getLogger(__name__)
FAST, SLOW = 0.1, 15.0
PAUSES = {"Applied": SLOW, "Pending": FAST, "Rejected": 1.0, "NoAnswer": SLOW}  # seconds until a pod is asked again
BACKOFF = Backoff(60.0, 3600.0)
IN_FLIGHT = 32
Trouble = tuple[tuple[str, str, tuple[int, ...]], ...]  # (pod, state, slots)


@dataclass(slots=True)
class ProbedGateway:
    """What is known of a gateway.

    What is in its slots and what of that was proved last; how far each pod is, where it lags, when it answered last;
    slots that were written while there were pods to prove them; how often a slot was rolled back; what was told.
    """

    limits: dict[int, Limits] = field(default_factory=dict)
    revisions: dict[int, int] = field(default_factory=dict)
    good: dict[int, Limits] = field(default_factory=dict)
    proofs: dict[str, PodConfigState] = field(default_factory=dict)
    lags: dict[str, dict[int, Lag]] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    unproved: dict[int, float] = field(default_factory=dict)
    rolled_back: dict[int, int] = field(default_factory=dict)
    told: Trouble | None = None
    due: float = float("-inf")

    def trouble(self) -> Trouble:
        """Return the pods that are not as they should be, those on their way left out."""
        bad = {pod: found for pod, found in self.proofs.items() if found.state in ("Rejected", "NoAnswer")}
        return tuple((pod, found.state, tuple(sorted(found.late))) for pod, found in sorted(bad.items()))


class ConfigProbeLoop:
    """Knows for every gateway pod whether it runs what was written."""

    def __init__(self, store: Store, limits: LimitLoop, clock: Clock, settings: Settings, events: Events) -> None:
        self._limits, self._clock, self._events = limits, clock, events
        self._store, self._gatherer, self._patience = store, WorldReader(store), settings.proof_patience
        self.rejects: Mapping[str, int] | None = None
        self._rejects_at = float("-inf")
        self._seen: dict[str, ProbedGateway] = {}
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self._leads = False
        self.changed = asyncio.Event()
        self.started = False

    async def run(self, leads: bool = True) -> None:
        """Ask again and again until cancelled. Only one that leads rolls back."""
        self._leads = leads
        async with aiohttp.ClientSession(trust_env=False) as session:
            while True:
                try:
                    await self.once(session)
                except Exception:
                    log.exception("the gateway pods were not asked; it is tried again")
                due = min((seen.due for seen in self._seen.values()), default=0.0) - self._clock.now()
                await self._clock.wait(self._limits.wrote, max(FAST, due))
                self._limits.wrote.clear()

    async def once(self, session: aiohttp.ClientSession) -> None:
        """Ask the pods of every gateway that is due, or whose slots have been written."""
        pools = {name: pool for name, pool in self._limits.pools.items() if _port(pool)}
        self._seen = {name: self._seen.get(name, ProbedGateway()) for name in pools}
        now, slots = self._clock.now(), self._slots()
        for name, pool in pools.items():
            self._note_written(self._seen[name], pool, slots.get(name, {}))
        asked = [pool for name, pool in pools.items() if self._seen[name].due <= now]
        await asyncio.gather(*(self._gateway(session, pool) for pool in asked))
        self._gatherer.end_round(0)
        states = [found.state for seen in self._seen.values() for found in seen.proofs.values()]
        if "Rejected" in states:
            await self._ask_istiod(session)
        for state in ("Applied", "Pending", "Rejected", "NoAnswer"):
            PROVED.labels(state).set(states.count(state))
        if not self.started and self._limits.pools:
            self.started = True
            self.changed.set()

    def of(self, gateway: str) -> Mapping[str, PodConfigState]:
        """Return how far each pod of a gateway is, by its name; what was written since it was asked is on its way."""
        seen = self._seen.get(gateway)
        if seen is None:
            return {}
        newer = {slot for slot, limits in self._slots().get(gateway, {}).items() if seen.limits.get(slot) != limits}
        return {
            pod: PodConfigState(p.state, p.behind | newer, p.late - newer, p.silent) for pod, p in seen.proofs.items()
        }

    def trouble(self, gateway: str) -> Trouble | None:
        """Return the pods of a gateway that are not as they should be; None where none can be asked."""
        return self._seen[gateway].trouble() if gateway in self._seen else None

    async def _ask_istiod(self, session: aiohttp.ClientSession) -> None:
        """Read what istiod has counted of rejections, now and then while there are any."""
        if self._clock.now() < self._rejects_at + SLOW:
            return
        self._rejects_at = self._clock.now()
        pods = [pod_seen(pod) for pod in self._store.all("Pod") if istiod.is_istiod(pod)]
        found = await istiod.read(session, [str(pod.address) for pod in pods if pod.ready and pod.address])
        if found != self.rejects:
            self.rejects = found
            self.changed.set()

    def _slots(self) -> dict[str, dict[int, Limits]]:
        out: dict[str, dict[int, Limits]] = {}
        for (gateway, number), limits in self._gatherer.slots.limits().items():
            out.setdefault(gateway, {})[number] = limits
        return out

    async def _gateway(self, session: aiohttp.ClientSession, pool: GatewayPool) -> None:
        seen = self._seen[pool.name]
        pods = self._gatherer.pods.answering_pods(pool)
        found = await asyncio.gather(*(self._pod(session, seen, pool, pod) for pod in pods))
        seen.proofs = dict(zip((pod.name for pod in pods), found, strict=True))
        seen.answered = {pod: at for pod, at in seen.answered.items() if pod in seen.proofs}
        seen.lags = {pod: at for pod, at in seen.lags.items() if pod in seen.proofs}
        self._note_proved(seen)
        if self._leads:
            self._roll_back(pool.name, seen)
        seen.due = self._clock.now() + min((PAUSES[found.state] for found in seen.proofs.values()), default=SLOW)
        if seen.trouble() != seen.told:
            self._announce(pool.name, seen)

    def _note_written(self, seen: ProbedGateway, pool: GatewayPool, slots: Mapping[int, Limits]) -> None:
        for number, limits in slots.items():
            if seen.limits.get(number) != limits:
                seen.limits[number] = limits
                seen.revisions[number] = revision(SlotFacts(pool, number, limits))
                seen.due = float("-inf")
                if seen.proofs:
                    seen.unproved[number] = self._clock.now()

    async def _pod(
        self, session: aiohttp.ClientSession, seen: ProbedGateway, pool: GatewayPool, pod: PodState
    ) -> PodConfigState:
        assert pod.address is not None and pool.probe is not None
        async with self._places:
            written = dict(seen.revisions)
            running = await probe.running(session, pod.address, _port(pool), pool.probe)
        now = self._clock.now()
        if running is None:
            return config_probe.silent(written, now - seen.answered.setdefault(pod.name, now), self._patience)
        seen.answered[pod.name] = now
        seen.lags[pod.name] = config_probe.lags(seen.lags.get(pod.name, {}), written, running, now)
        return config_probe.judge(seen.lags[pod.name], now, self._patience)

    def _note_proved(self, seen: ProbedGateway) -> None:
        """Note the slots that every gateway pod which answers runs as written, and how long it took."""
        if all(found.silent for found in seen.proofs.values()):
            return
        behind = config_probe.behind_at_any(seen.proofs)
        seen.good |= {slot: limits for slot, limits in seen.limits.items() if slot not in behind}
        for slot in seen.unproved.keys() - behind:
            took = self._clock.now() - seen.unproved.pop(slot)
            if self._leads:
                EFFECT.observe(took)

    def _roll_back(self, gateway: str, seen: ProbedGateway) -> None:
        for slot in config_probe.late_at_all(seen.proofs):
            rejected, good = seen.limits[slot], seen.good.get(slot)
            if good is not None and good != rejected and config_probe.may_replace(good, rejected):
                times = seen.rolled_back[slot] = seen.rolled_back.get(slot, 0) + 1
                again = self._clock.now() + BACKOFF.after(times)
                self._limits.roll_back((gateway, slot), rejected, good, again)
        stuck = {slot for _, slot in self._limits.rolled_back} | config_probe.behind_at_any(seen.proofs)
        seen.rolled_back = {slot: times for slot, times in seen.rolled_back.items() if slot in stuck}

    def _announce(self, gateway: str, seen: ProbedGateway) -> None:
        trouble = seen.trouble()
        if trouble or seen.told is not None:
            said = "; ".join(f"{pod}: {state}" for pod, state, _ in trouble)
            self._events.publish("proof", gateway, said or "all gateway pods run what was written")
        seen.told = trouble
        self.changed.set()


def _port(pool: GatewayPool) -> int:
    """Return the port on which the probe is answered; 0 where there is none."""
    listener = names.plain_listener(pool)
    return listener.port if listener and pool.probe else 0
