"""The config probe: asks every gateway pod which limits it runs, and compares with what was written.

It asks often where something is pending and seldom where all is applied. What no gateway pod takes is rolled back to
what was applied last, if that admits no more, and tried again later. What a gateway pod has not taken otherwise is sent
again: an update can be lost between istiod and a pod that connects, and istiod sends what has not changed to no pod.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import aiohttp

from collectors import istiod, probe
from collectors.replicas import PodState, pod_seen
from istio_templates import names
from istio_templates.envoy_filter import revision, sent_of
from istio_templates.facts import GatewayPool, SlotFacts
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.store import Store
from k8s_manager.limits.limit_loop import LimitLoop
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import Cadence, control_loop
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.metrics import EFFECT, GATEWAY_PODS
from k8s_manager.runtime.settings import Settings
from ratelimiter import config_probe
from ratelimiter.config_probe import Lag, PodConfigState, ShownRevision
from ratelimiter.controller import Limits

log = logging.getLogger(__name__)
FAST, SLOW = 0.1, 15.0
PAUSES = {"Applied": SLOW, "Pending": FAST, "Rejected": 1.0, "NoAnswer": SLOW}  # seconds until a pod is asked again
BACKOFF = Backoff(60.0, 3600.0)
IN_FLIGHT = 32
AT_ONCE, PATIENCE = 16, 0.5
"""Gateways asked at once, and the seconds for which a pass waits for one."""
Trouble = tuple[tuple[str, str, tuple[int, ...]], ...]  # (pod, state, slots)


@dataclass(slots=True)
class ProbedGateway:
    """What is known of a gateway.

    What is in its slots (`limits`); how far each pod is, what it was `shown` to run, where it lags, when it answered
    last; since when slots are `pending` that were written while there were pods to ask, and how many seconds each
    `took` the last time; how often a slot was rolled back; how often one was `sent` again, how often in a row
    (`resends`) and when that is due next; the trouble that was announced. Until it is `known` of each pod whether it
    answers, what the last manager found out is the better answer.
    """

    limits: dict[int, Limits] = field(default_factory=dict)
    revisions: dict[int, int] = field(default_factory=dict)
    states: dict[str, PodConfigState] = field(default_factory=dict)
    shown: dict[str, dict[int, ShownRevision]] = field(default_factory=dict)
    lags: dict[str, dict[int, Lag]] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    pending: dict[int, float] = field(default_factory=dict)
    took: dict[int, float] = field(default_factory=dict)
    rolled_back: dict[int, int] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    resends: dict[int, tuple[int, float]] = field(default_factory=dict)
    announced: Trouble | None = None
    known: bool = False
    due: float = float("-inf")

    def note_states(self, states: dict[str, PodConfigState]) -> None:
        """Note how far the pods are."""
        self.states = states
        self.answered = {pod: at for pod, at in self.answered.items() if pod in states}
        self.lags = {pod: at for pod, at in self.lags.items() if pod in states}
        self.shown = {pod: at for pod, at in self.shown.items() if pod in states}
        self.known |= not any(found.silent and found.state == "Pending" for found in states.values())

    def trouble(self) -> Trouble | None:
        """Return the pods that are not as they should be, pending ones left out; None where that is not known yet."""
        if not self.known:
            return None
        bad = {pod: found for pod, found in self.states.items() if found.state in ("Rejected", "NoAnswer")}
        return tuple((pod, found.state, tuple(sorted(found.late))) for pod, found in sorted(bad.items()))


class ConfigProbeLoop:
    """Knows for every gateway pod whether it runs what was written.

    `trigger` begins a pass before the next is due; `changed` is set when a status has to say something else.
    """

    def __init__(
        self,
        store: Store,
        limits: LimitLoop,
        clock: Clock,
        settings: Settings,
        events: Events,
        trigger: asyncio.Event,
        changed: asyncio.Event,
    ) -> None:
        self._limits, self._clock, self._events = limits, clock, events
        self._trigger, self._changed = trigger, changed
        self._store, self._reader, self._patience = store, WorldReader(store), settings.proof_patience
        self.rejects: Mapping[str, int] | None = None
        self._rejects_at = float("-inf")
        self._gateways: dict[str, ProbedGateway] = {}
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self._effects = Effects(clock, trigger)
        self._lane = self._effects.lane("config probe", AT_ONCE, PATIENCE)
        self._leads = False
        self.started = False

    async def run(self, leads: bool = True) -> None:
        """Ask until cancelled. Only a leader rolls back."""
        self._leads = leads
        async with aiohttp.ClientSession(trust_env=False) as session:
            self._trigger.set()
            await control_loop("config probe", partial(self.once, session), self._effects, Cadence(), self._clock)

    async def once(self, session: aiohttp.ClientSession) -> float:
        """Ask the pods of every gateway that is due, or whose slots have been written; return when the next is due."""
        pools = {name: pool for name, pool in self._limits.pools.items() if _port(pool)}
        self._gateways = {name: self._gateways.get(name, ProbedGateway()) for name in pools}
        self._limits.rolled_back.retain(pools)
        now, slots = self._clock.now(), self._slots()
        for name, pool in pools.items():
            self._note_written(self._gateways[name], pool, slots.get(name, {}))
        asked = {name: pool for name, pool in pools.items() if self._gateways[name].due <= now}
        await self._lane.run({name: partial(self._gateway, session, pool) for name, pool in asked.items()})
        self._reader.end_round(0)
        states = [found.state for seen in self._gateways.values() for found in seen.states.values()]
        if "Rejected" in states:
            await self._lane.run({"istiod/": partial(self._ask_istiod, session)})
        for state in ("Applied", "Pending", "Rejected", "NoAnswer"):
            GATEWAY_PODS.labels(state).set(states.count(state))
        if not self.started and self._limits.pools and all(seen.known for seen in self._gateways.values()):
            self.started = True
            self._changed.set()
        waited_for = self._lane.book.under_way
        due = min((seen.due for name, seen in self._gateways.items() if name not in waited_for), default=now + SLOW)
        return max(self._clock.now() + FAST, due)

    def of(self, gateway: str) -> Mapping[str, PodConfigState]:
        """Return how far each pod of a gateway is, by its name; what was written since it was asked is pending."""
        seen = self._gateways.get(gateway)
        if seen is None:
            return {}
        newer = {slot for slot, limits in self._slots().get(gateway, {}).items() if seen.limits.get(slot) != limits}
        return {
            pod: PodConfigState(p.state, p.behind | newer, p.late - newer, p.silent) for pod, p in seen.states.items()
        }

    def probed(self, gateway: str) -> ProbedGateway | None:
        """Return what is known of a gateway, to be read alone; None where it has no probe, or was not asked yet."""
        return self._gateways.get(gateway)

    def trouble(self, gateway: str) -> Trouble | None:
        """Return the pods of a gateway that are not as they should be; None where that is not known."""
        seen = self._gateways.get(gateway)
        return seen.trouble() if seen else None

    async def _ask_istiod(self, session: aiohttp.ClientSession) -> None:
        """Read what istiod has counted of rejections, now and then while there are any."""
        if self._clock.now() < self._rejects_at + SLOW:
            return
        self._rejects_at = self._clock.now()
        pods = [pod_seen(pod) for pod in self._store.all("Pod") if istiod.is_istiod(pod)]
        found = await istiod.read(session, [str(pod.address) for pod in pods if pod.ready and pod.address])
        if found != self.rejects:
            self.rejects = found
            self._changed.set()

    def _slots(self) -> dict[str, dict[int, Limits]]:
        out: dict[str, dict[int, Limits]] = {}
        for (gateway, number), limits in self._reader.slots.limits().items():
            out.setdefault(gateway, {})[number] = limits
        return out

    async def _gateway(self, session: aiohttp.ClientSession, pool: GatewayPool) -> None:
        seen = self._gateways[pool.name]
        pods = self._reader.pods.answering_pods(pool)
        found = await asyncio.gather(*(self._pod(session, seen, pool, pod) for pod in pods))
        seen.note_states(dict(zip((pod.name for pod in pods), found, strict=True)))
        self._note_applied(pool.name, seen)
        if self._leads:
            self._roll_back(pool.name, seen)
            self._send_again(pool.name, seen)
        seen.due = self._clock.now() + min((PAUSES[found.state] for found in seen.states.values()), default=SLOW)
        if seen.trouble() != seen.announced:
            self._announce(pool.name, seen)

    def _note_written(self, seen: ProbedGateway, pool: GatewayPool, slots: Mapping[int, Limits]) -> None:
        live = self._reader.slots.objects()
        for number, limits in slots.items():
            sent = sent_of(live[pool.name, number])
            if seen.states and seen.limits.get(number) != limits:
                seen.pending[number] = self._clock.now()
            if (seen.limits.get(number), seen.sent.get(number)) != (limits, sent):
                seen.limits[number], seen.sent[number] = limits, sent
                seen.revisions[number] = revision(SlotFacts(pool, number, limits, sent))
                seen.due = float("-inf")

    async def _pod(
        self, session: aiohttp.ClientSession, seen: ProbedGateway, pool: GatewayPool, pod: PodState
    ) -> PodConfigState:
        assert pod.address is not None and pool.probe is not None
        async with self._places:
            written = dict(seen.revisions)
            running = await probe.running(session, pod.address, _port(pool), pool.probe)
        now = self._clock.now()
        if running is None:
            return config_probe.silent_state(written, now - seen.answered.setdefault(pod.name, now), self._patience)
        seen.answered[pod.name] = now
        seen.shown[pod.name] = config_probe.shown(seen.shown.get(pod.name, {}), running, now)
        seen.lags[pod.name] = config_probe.lags(seen.lags.get(pod.name, {}), written, running, now)
        return config_probe.answering_state(seen.lags[pod.name], now, self._patience)

    def _note_applied(self, gateway: str, seen: ProbedGateway) -> None:
        """Note the slots that every gateway pod which answers runs as written, and how long it took."""
        if all(found.silent for found in seen.states.values()):
            return
        behind = config_probe.behind_at_any(seen.states)
        ran = {(gateway, slot): limits for slot, limits in seen.limits.items() if slot not in behind}
        self._limits.rolled_back.applied.update(ran)
        for slot in seen.pending.keys() - behind:
            took = seen.took[slot] = self._clock.now() - seen.pending.pop(slot)
            if self._leads:
                EFFECT.observe(took)

    def _roll_back(self, gateway: str, seen: ProbedGateway) -> None:
        live = self._reader.slots.objects()
        for slot in config_probe.late_at_all(seen.states):
            rejected = seen.limits[slot]
            good = self._limits.rolled_back.last_applied((gateway, slot), live.get((gateway, slot)))
            if good is not None and good != rejected and config_probe.may_replace(good, rejected):
                times = seen.rolled_back[slot] = seen.rolled_back.get(slot, 0) + 1
                again = self._clock.now() + BACKOFF.after(times)
                self._limits.roll_back((gateway, slot), rejected, good, again)
        stuck = {slot for _, slot in self._limits.rolled_back} | config_probe.behind_at_any(seen.states)
        seen.rolled_back = {slot: times for slot, times in seen.rolled_back.items() if slot in stuck}

    def _send_again(self, gateway: str, seen: ProbedGateway) -> None:
        """Have those slots sent again that were written under this manager's eyes and that a pod has not taken in time,
        less and less often. What it found in them when it began is another manager's."""
        now, rolled_back = self._clock.now(), {slot for name, slot in self._limits.rolled_back if name == gateway}
        for slot in sorted(config_probe.late_at_any(seen.states) & seen.pending.keys() - rolled_back):
            times, due = seen.resends.get(slot, (0, now))
            if now >= due:
                pods = ", ".join(sorted(pod for pod, found in seen.states.items() if slot in found.late))
                log.warning("gateway %s: slot %s is sent again; %s does not run its limits", gateway, slot, pods)
                seen.resends[slot] = (times + 1, now + BACKOFF.after(times + 1))
                self._limits.send_again((gateway, slot), seen.sent.get(slot, 0) + 1)
        behind = config_probe.behind_at_any(seen.states)
        seen.resends = {slot: found for slot, found in seen.resends.items() if slot in behind}

    def _announce(self, gateway: str, seen: ProbedGateway) -> None:
        trouble = seen.trouble()
        if trouble or seen.announced is not None:
            said = "; ".join(f"{pod}: {state}" for pod, state, _ in trouble or ())
            self._events.publish("proof", gateway, said or "all gateway pods run what was written")
        seen.announced = trouble
        self._changed.set()


def _port(pool: GatewayPool) -> int:
    """Return the port on which the probe is answered; 0 where there is none."""
    listener = names.plain_listener(pool)
    return listener.port if listener and pool.probe else 0
