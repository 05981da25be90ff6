"""The limit loop: from pods to slots, as fast as the debounce allows and no faster.

It shares the store with the main loop and has a loop of its own, so that a replica event waits for nothing else.
What it decides comes from `ratelimiter`; here are only the reading, the writing and the waiting.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from istio_templates import names
from istio_templates.catalog import render_slot
from istio_templates.errors import TidegateError
from istio_templates.facts import GatewayPool, ObjectKey, SlotFacts
from k8s_manager.drift.compare import is_in_line
from k8s_manager.drift.repair import Repair, remove_additions
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.store import Store
from k8s_manager.limits import retained
from k8s_manager.limits.capacity import CapacityTracker
from k8s_manager.limits.limit_view import LimitView
from k8s_manager.limits.prometheus_replicas import SampleLoop
from k8s_manager.limits.shadow_counts import ShadowCounts
from k8s_manager.limits.slot_rollback import RolledBack, SlotRollbacks
from k8s_manager.limits.stages import StagedLimits, StageTracker
from k8s_manager.limits.targets import TargetCalculator
from k8s_manager.pipeline.diff import stamped
from k8s_manager.pipeline.plan import Limited, Plan
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.hold_off import hold_off
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.runtime.metrics import LIMIT, OVERRIDES, REACTION, RENDERED, SLOT_WRITES
from k8s_manager.runtime.settings import Settings
from ratelimiter import controller, debounce, overrides
from ratelimiter.controller import LimitTarget, Observation, Slot
from ratelimiter.overrides import Override
from ratelimiter.target import Terms, within_tenant_ceilings

log = logging.getLogger(__name__)
RETRY = 1.0


class LimitLoop:
    """Keeps every slot of every gateway in line with the ready replicas."""

    def __init__(
        self,
        client: KubeClient,
        store: Store,
        clock: Clock,
        settings: Settings,
        events: Events,
        samples: SampleLoop,
        tally: ShadowCounts,
    ) -> None:
        self._client, self._store, self._clock = client, store, clock
        self._settings, self._events = settings, events
        self._samples, self._tally = samples, tally
        self._staging, self._staged = StageTracker(tally), StagedLimits()
        self._gatherer, self._memo, self._kept = WorldReader(store), Memo(), Last()
        self._counting = CapacityTracker(store, self._gatherer, settings, self._samples)
        self.rolled_back = SlotRollbacks()
        self._plan = Plan()
        self._overridden: dict[str, Limited] = {}
        self._stageable: dict[str, Limited] = {}
        self._own: dict[str, list[str]] = {}
        self._wake_at: float | None = None
        self._state = controller.LimitState()
        self._since: dict[controller.Entry, datetime] = {}
        self.dirty = self._samples.changed = tally.changed = store.signal(frozenset({"Pod", "EnvoyFilter"}))
        self.changed = asyncio.Event()
        self._closed: dict[str, str] = {}
        self._seen: Observation | None = None
        self._seen_of: tuple[Any, ...] = ()
        self._repaired: dict[ObjectKey, Repair] = {}
        self._wanting = TargetCalculator(self._gatherer)
        self._holding: dict[str, Override] = {}
        self._lifted: dict[str, LimitTarget] = {}
        self._told: tuple[Any, ...] = ()
        self._applied: dict[str, Override] = {}
        self.wrote = asyncio.Event()

    @property
    def pools(self) -> Mapping[str, GatewayPool]:
        """All gateways, by name."""
        return self._plan.pools

    def roll_back(self, slot: Slot, rejected: controller.Limits, good: controller.Limits, until: float) -> None:
        """Write `good` to a slot that holds `rejected`, until something else is wanted of it or it is tried again."""
        if self._gatherer.slots().get(slot) == rejected:
            self.rolled_back.add(slot, RolledBack(rejected, good, until))
            self._seen_of = ()
            self.dirty.set()
            self.changed.set()

    @property
    def lifted(self) -> frozenset[str]:
        """The identities of models whose limit is taken away for now."""
        return frozenset(self._lifted)

    @property
    def closed(self) -> Mapping[str, str]:
        """The sentences of models that take no requests for now, by identity."""
        return self._closed

    def follow(self, plan: Plan) -> None:
        """Take over a new plan from the main loop; models that are new in it can be viewed from now on."""
        if plan is not self._plan:
            self._read(plan)
        if self._seen is None or plan.limits.keys() - self._seen.wanted.keys() - self._lifted.keys():
            self._decide()
        self.dirty.set()

    def _read(self, plan: Plan) -> None:
        """Note which limits of a plan need more than counting."""
        self._plan = plan
        self._overridden = {identity: limited for identity, limited in plan.limits.items() if limited.overrides}
        self._own = _own(plan)
        self._stageable = {i: limited for i, limited in plan.limits.items() if _may_be_staged(limited)}

    async def run(self, leads: bool = True) -> None:
        """Observe, decide, write; again at every event, and when something falls due. Never ends by itself.

        One that does not lead takes what the leader writes for its own, so that it can go on from there.
        """
        if leads:
            self._staging = StageTracker(self._tally)  # what another leader has come to stands in the slots
        self.dirty.set()
        quiet = self._settings.limit_quiet if leads else self._settings.quiet
        async for _ in hold_off(self.dirty, quiet, quiet, self._clock, lambda: self._wake_at):
            try:
                seen, decision = self._decide()
                self._wake_at = _earliest(decision.wake_at, self._stale_at(), self._staged.next_at, *self._ends())
                if decision.writes and leads:
                    written = await self._write(seen, decision)
                    self._wake_at = _earliest(written, self._staged.next_at, *self._ends())
                elif decision.writes:
                    self._adopt(seen, seen.live)
                    self.wrote.set()
            except Exception:
                log.exception("limits were not looked at; it is tried again")
                self._wake_at = self._clock.now() + RETRY

    def _stale_at(self) -> float | None:
        """Return when the pods will not have been heard of for too long; None where that is so already."""
        stale_at = self._store.heard.get("Pod", 0.0) + self._settings.stale_after
        return stale_at if stale_at > self._clock.now() else None

    def _ends(self) -> tuple[float | None, float | None]:
        """Return when the next rollback and the next override end, by our own clock."""
        now = self._clock.utc()
        end = overrides.next_end((o for limited in self._overridden.values() for o in limited.overrides), now)
        override = None if end is None else self._clock.now() + (end - now).total_seconds() + 0.001
        return self.rolled_back.next_end(), override

    def _hold(self) -> dict[str, Override]:
        """Return the override that holds for each model that has one."""
        now = self._clock.utc()
        found = {i: overrides.strongest(limited.overrides, now) for i, limited in self._overridden.items()}
        return {identity: override for identity, override in found.items() if override}

    def _decide(self) -> tuple[Observation, controller.LimitDecision]:
        seen = self.observe()
        decision, self._state = controller.decide(self._state, seen, self._clock.now())
        return seen, decision

    def observe(self) -> Observation:
        """Return what the store shows of replicas, gateway pods and slots, and what every limit should be."""
        fresh = self._clock.now() - self._store.heard.get("Pod", 0) < self._settings.stale_after
        holding = self._hold()
        slots = self._gatherer.slots()
        over = self.rolled_back.end(slots, self._clock.now())
        kept = self._keep(slots)
        staged = self._stage(holding, slots, kept)
        seen_of = (
            self._store.all_changes,
            self._samples.version,
            fresh,
            over,
            staged,
            self._tally.version,
            id(self._plan),
            self._plan,
            holding,
        )
        if self._seen is not None and self._seen_of == seen_of:
            return self._seen
        disagreeing = self._counting.disagreeing
        counted = self._counting.count(self._plan, holding, fresh)
        told = (holding, staged, self._tally.version)
        if over or told != self._told or disagreeing != self._counting.disagreeing:
            self.changed.set()
        self._seen_of, self._holding, self._staged, self._told = seen_of, holding, staged, told
        OVERRIDES.set(len(holding))
        free = {i for i, c in counted.items() if overrides.lifts(holding.get(i), c.terms)}
        free |= {i for i in counted if names.identity_in(i) in staged.holders} if staged.holders else set()
        totals = within_tenant_ceilings({i: (c.terms, c.total) for i, c in counted.items() if i not in free})
        totals |= {i: counted[i].total for i in free}
        gateways = {name: len(self._gatherer.gateway_pods_of(pool)) for name, pool in self._plan.pools.items()}
        partly = {i for (_, i), limit in self._state.limits.items() if limit.written and limit.written.enforced != 100}
        every = self._wanting.every(counted, totals, gateways, staged, self._is_urgent, partly)
        lifted = {i: every[i] for i in free}
        wanted = {i: w for i, w in every.items() if i not in lifted} if lifted else every
        self._note_applied(wanted)
        live = {
            slot: self.rolled_back.meant(slot, found) for slot, found in slots.items() if slot[0] in self._plan.pools
        }
        spoilt = frozenset(slot for slot in live if self._spoilt(slot, self.rolled_back.instead(slot, live[slot])))
        self._tell(wanted, lifted)
        self._memo.end_round()
        self._gatherer.end_round(len(counted))
        self._seen = Observation(self._moment(), wanted, kept, live, spoilt, staged.placed)
        return self._seen

    def _note_applied(self, wanted: Mapping[str, LimitTarget]) -> None:
        """Note the overrides that are in force: from then on changes under them wait for the debounce."""
        held = {i: override for i, override in self._holding.items() if i in wanted}
        self._applied = {
            identity: override
            for identity, override in held.items()
            if self._applied.get(identity) == override or self._is_in_force(wanted[identity])
        }

    def _is_in_force(self, wanted: LimitTarget) -> bool:
        found = [self._state.limits.get((pool, wanted.terms.identity)) for pool in wanted.terms.pools]
        return all(limit is not None and limit.written == wanted.target.bucket for limit in found)

    def _moment(self) -> float:
        """Return when what we see came about: the last pod event, if this pass follows it closely."""
        now, changed = self._clock.now(), self._store.changed_at.get("Pod", 0.0)
        return changed if now - changed < 5 * self._settings.limit_quiet else now

    def _spoilt(self, slot: Slot, limits: controller.Limits) -> bool:
        """Tell whether a slot's EnvoyFilter differs from what we would write for these limits."""
        obj, pool = self._gatherer.slot_objects()[slot], self._plan.pools[slot[0]]

        def differs() -> bool:
            (wanted,) = render_slot(SlotFacts(pool, slot[1], limits))
            return not is_in_line(wanted, obj)

        return self._memo.get(("spoilt", slot), (obj["metadata"]["resourceVersion"], pool, limits), differs)

    def view(self, identity: str) -> dict[str, LimitView]:
        """Return a model's limit on each of its gateways, for people."""
        found = self._lifted.get(identity) or (self._seen.wanted.get(identity) if self._seen else None)
        if found is None:
            return {}
        own = [self._seen.wanted[key] for key in self._own.get(identity, ()) if self._seen and key in self._seen.wanted]
        return {
            pool: replace(self._view(pool, found), own=tuple(self._view(pool, of_version) for of_version in own))
            for pool in found.terms.pools
        }

    def _view(self, pool: str, wanted: LimitTarget) -> LimitView:
        terms = wanted.terms
        entry = (pool, terms.identity)
        view = LimitView(
            wanted,
            slot=self._staged.placed.get(entry, terms.slot),
            override=self._holding.get(terms.identity),
            lifted=terms.identity in self._lifted,
            heard=self._heard(),
            holders=self._staged.holders.get(terms.identity),
        )
        limit = self._state.limits.get(entry)
        if limit is None or view.lifted:
            return view
        due = debounce.due_at(limit, terms.rules)
        return replace(
            view,
            in_force=limit.written,
            since=self._since.get(entry),
            pending=limit.pending.target if limit.pending else None,
            due_in=None if due is None else max(0.0, due - self._clock.now()),
            stage=self._staged.stages.get(terms.identity),
            evidence=self._tally.told(terms.identity),
        )

    def _heard(self) -> datetime | None:
        """Return when the watch of pods last gave any sign of life."""
        at = self._store.heard.get("Pod")
        return None if at is None else self._clock.utc() - timedelta(seconds=self._clock.now() - at)

    def _is_urgent(self, override: Override | None, terms: Terms, enforced: int) -> bool:
        """Tell whether a limit waits for no debounce: an override is not in force yet, or it is enforced for another
        share than it should be."""
        if override is not None and self._applied.get(terms.identity) != override:
            return True
        found = [self._state.limits.get((pool, terms.identity)) for pool in terms.pools]
        return any(limit and limit.written and limit.written.enforced != enforced for limit in found)

    def _keep(self, slots: Mapping[Slot, controller.Limits]) -> frozenset[str]:
        """Return the keys whose limits stay though nobody asks for them; looked for anew only where that may differ."""
        changes = (self._store.changes("EnvoyFilter"), self._store.owned_changes)
        of = (*changes, id(self._plan), self._plan, frozenset(self._lifted))
        return self._kept.get(of, lambda: retained.kept(self._plan, self._lifted.keys(), slots, self._store.owned))

    def _stage(
        self, holding: Mapping[str, Override], slots: Mapping[Slot, controller.Limits], kept: frozenset[str]
    ) -> StagedLimits:
        """Return how far the limits have come that are not simply enforced."""
        set_so = {i for i, override in holding.items() if override.mode == "shadow"}
        found = self._stageable | {i: self._plan.limits[i] for i in set_so if i in self._plan.limits}
        return self._staging.look(found, holding, slots, kept, self._clock.now())

    def disagreement(self, identity: str) -> str | None:
        """Return how Prometheus and the watch disagree over a model's replicas; None where they agree or only one of
        them is asked."""
        return self._counting.disagreeing.get(identity)

    def mark(self, identity: str) -> object:
        """Return something that differs whenever a limit that is in force, or what is wanted of it, is another."""
        wanted = self._lifted.get(identity) or (self._seen.wanted.get(identity) if self._seen else None)
        if wanted is None:
            return None
        override = self._holding.get(identity)
        keys = (identity, *self._own.get(identity, ()))
        limits = [self._state.limits.get((pool, key)) for pool in wanted.terms.pools for key in keys]
        told = (self._staged.stages.get(identity), self._staged.holders.get(identity), self._tally.told(identity))
        return (
            wanted,
            override,
            told,
            identity in self._lifted,
            *(limit.written if limit else None for limit in limits),
        )

    def _tell(self, wanted: Mapping[str, LimitTarget], lifted: dict[str, LimitTarget]) -> None:
        """Let the main loop know which models are closed, and which have no limit for now."""
        closed = {
            identity: f"{found.terms.namespace}/{found.terms.model} takes no requests: no replica is ready"
            for identity, found in wanted.items()
            if found.target.total.closed and not self._staged.is_partial(identity)
        }
        if closed != self._closed or lifted.keys() != self._lifted.keys():
            self.changed.set()
        self._closed, self._lifted = closed, lifted

    async def _write(self, seen: Observation, decision: controller.LimitDecision) -> float | None:
        """Write slots side by side; return when to look again."""
        giving = controller.giving(seen.live, decision.writes)
        done, tried = dict[Slot, controller.Limits](), set[Slot]()
        while turn := controller.next_writes(decision.writes.keys(), giving, done.keys(), tried):
            done |= await self._write_slots({slot: decision.writes[slot] for slot in turn}, decision)
            tried |= turn
        at = self._adopt(seen, done)
        self.changed.set()
        self.dirty.set()
        return at + RETRY

    async def _write_slots(
        self, writes: Mapping[Slot, controller.Limits], decision: controller.LimitDecision
    ) -> dict[Slot, controller.Limits]:
        """Write slots side by side; return those that arrived."""
        outcomes = await asyncio.gather(
            *(self._write_slot(slot, limits, slot in decision.stale) for slot, limits in writes.items())
        )
        return {slot: writes[slot] for slot, arrived in zip(writes, outcomes, strict=True) if arrived}

    def _adopt(self, seen: Observation, slots: Mapping[Slot, controller.Limits]) -> float:
        """Take what is in slots for what is in force; return when that was."""
        before, at = self._state, self._clock.now()
        self._state = controller.written(self._state, slots, at)
        self._announce(seen, before, at)
        return at

    def repaired(self) -> dict[ObjectKey, Repair]:
        """Return the slots that were set back since the last call."""
        out, self._repaired = self._repaired, {}
        return out

    async def _write_slot(self, slot: Slot, limits: controller.Limits, stale: bool) -> bool:
        pool = self._plan.pools.get(slot[0])
        if pool is None:
            return False
        RENDERED.labels("slot").inc()
        (obj,) = map(stamped, render_slot(SlotFacts(pool, slot[1], self.rolled_back.instead(slot, limits))))
        try:
            repair = await remove_additions(self._client, obj) if stale else None
            self._store.put(await self._client.apply(obj, force=True))
        except TidegateError as error:
            SLOT_WRITES.labels("failure").inc()
            log.warning("slot %d of gateway %s was not written: %s", slot[1], slot[0], error)
            return False
        SLOT_WRITES.labels("success").inc()
        self.wrote.set()
        if repair and repair.writers:
            self._repaired[names.key_of(obj)] = repair
        return True

    def _announce(self, seen: Observation, before: controller.LimitState, at: float) -> None:
        for entry, limit in self._state.limits.items():
            earlier = before.limits[entry]
            if limit.written == earlier.written or limit.written is None:
                continue
            if names.part_of(entry[1]) == names.REQUESTS:
                continue
            wanted = seen.wanted[entry[1]]
            self._since[entry] = self._clock.utc()
            due = debounce.due_at(earlier, wanted.terms.rules)
            if due is not None:
                REACTION.observe(max(0.0, at - due))
            whole = limit.written.rate * max(wanted.target.gateways, 1)
            self._counting.is_in_force(entry[1], whole, entry[1] in self._holding)
            terms, share = wanted.terms, limit.written.enforced
            LIMIT.labels(terms.namespace, terms.model, terms.version).set(float(whole))
            subject = f"{terms.namespace}/{terms.model}"
            of = f" of version {terms.version}" if terms.version else ""
            said = f"limit{of} is {float(whole):g}/s over {wanted.target.gateways} gateway pods"
            said += "" if share == 100 else f", enforced for {share} % of the requests"
            self._events.publish("limit", subject, said, total=float(whole), gateway=entry[0], enforced=share)


def _own(plan: Plan) -> dict[str, list[str]]:
    """Return the keys of the limits that versions have of their own, by the identity of their model."""
    out: dict[str, list[str]] = {}
    for key, limited in plan.limits.items():
        if limited.terms.version:
            out.setdefault(names.identity_in(key), []).append(key)
    return out


def _may_be_staged(limited: Limited) -> bool:
    terms = limited.terms
    return terms.mode in ("shadow", "ramp") or terms.verdict is not None


def _earliest(*moments: float | None) -> float | None:
    return min((at for at in moments if at is not None), default=None)
