"""The observer: from the store to what the controller decides on, pass after pass.

pods, Prometheus ──> capacity ──> totals ──> targets ──┐
documents ──> overrides, stages ──────────┘            ├──> Observation
slots ──> live, retained, drifted ─────────────────────┘
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from istio_templates.catalog import render_slot
from istio_templates.facts import LimitKey, SlotFacts
from k8s_manager.drift.compare import is_in_line
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.store import Store
from k8s_manager.limits import retention
from k8s_manager.limits.capacity import CapacityTracker, ModelCapacity
from k8s_manager.limits.limit_change import LimitChange
from k8s_manager.limits.prometheus_replicas import SampleLoop, SourceDoubt
from k8s_manager.limits.slot_rollback import SlotRollbacks
from k8s_manager.limits.stages import Evidences, StagedLimits, StageTracker
from k8s_manager.limits.targets import TargetCalculator
from k8s_manager.pipeline.figures import DeclaredFigures, Figures, VersionKey
from k8s_manager.pipeline.model_plan import Limited
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.clock import WALL_LOOK, Clock
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.runtime.settings import Settings
from k8s_manager.world.limit_feedback import LimitFeedback
from ratelimiter import overrides
from ratelimiter.controller import Limits, LimitState, LimitTarget, Observation, Slot
from ratelimiter.overrides import Override
from ratelimiter.target import Total, within_tenant_ceilings


@dataclass(frozen=True, slots=True)
class PlannedLimits:
    """A plan, its limits that need more than counting, and the keys of the limits that versions have of their own, by
    the identity of their model."""

    plan: Plan = field(default_factory=Plan)
    overridden: Mapping[LimitKey, Limited] = field(default_factory=dict)
    stageable: Mapping[LimitKey, Limited] = field(default_factory=dict)
    own: Mapping[LimitKey, list[LimitKey]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> "PlannedLimits":
        """Return the limits of a plan."""
        overridden = {identity: limited for identity, limited in plan.limits.items() if limited.overrides}
        stageable = {identity: limited for identity, limited in plan.limits.items() if _may_be_staged(limited)}
        own: dict[LimitKey, list[LimitKey]] = {}
        for key, limited in plan.limits.items():
            if limited.terms.version:
                own.setdefault(key.whole, []).append(key)
        return cls(plan, overridden, stageable, own)


@dataclass(frozen=True, slots=True)
class ObservedLimits:
    """What one reconcile pass has observed: `seen` for the controller, `feedback` for the plan, the rest for statuses.

    `overrides` are those in force, `overruled` the weaker ones beside them, `lifted` the targets of the models without
    a limit for now, `versions` of what was counted and of the rollbacks.
    """

    seen: Observation = field(default_factory=lambda: Observation(0.0, {}, frozenset(), {}))
    feedback: LimitFeedback = field(default_factory=LimitFeedback)
    overrides: Mapping[LimitKey, Override] = field(default_factory=dict)
    staged: StagedLimits = field(default_factory=StagedLimits)
    lifted: Mapping[LimitKey, LimitTarget] = field(default_factory=dict)
    own: Mapping[LimitKey, list[LimitKey]] = field(default_factory=dict)
    doubts: Mapping[LimitKey, SourceDoubt] | None = None
    versions: tuple[int, int] = (0, 0)
    overruled: Mapping[LimitKey, tuple[Override, ...]] = field(default_factory=dict)

    def target(self, identity: LimitKey) -> LimitTarget | None:
        """Return what a limit should be, or was when it was lifted."""
        return self.lifted.get(identity) or self.seen.targets.get(identity)

    def concerns_plan(self, before: "ObservedLimits") -> bool:
        """Tell whether the main loop has something to plan or to show that it had not before."""
        return self is not before and (
            self.feedback != before.feedback
            or (self.overrides, self.staged, self.versions) != (before.overrides, before.staged, before.versions)
            or (self.overruled, self.doubts) != (before.overruled, before.doubts)
        )


class LimitObserver:
    """Observes pass after pass; while nothing has changed, an observation is the same object."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        samples: SampleLoop,
        counts: Evidences,
        rollbacks: SlotRollbacks,
    ) -> None:
        self._store, self._clock, self._settings = store, clock, settings
        self._samples, self._counts, self._rollbacks = samples, counts, rollbacks
        self._reader, self._memo, self._retained = WorldReader(store), Memo(), Last()
        self._capacity = CapacityTracker(store, self._reader, settings, samples)
        self._targets, self._stages = TargetCalculator(self._reader), StageTracker(counts)
        self._planned = PlannedLimits()
        self._figures: Mapping[VersionKey, DeclaredFigures] = {}
        self._last: tuple[tuple[Any, ...], ObservedLimits] = ((), ObservedLimits())

    def copy(self, counts: Evidences) -> "LimitObserver":
        """Return an observer of the same store for a forecast: it knows how far stages have come and what is frozen,
        and what it observes changes nothing here."""
        other = LimitObserver(self._store, self._clock, self._settings, self._samples, counts, SlotRollbacks())
        other._stages, other._capacity = self._stages.copy(counts), self._capacity.copy(other._reader)
        return other

    @property
    def plan(self) -> Plan:
        """The plan whose limits are observed."""
        return self._planned.plan

    def follow(self, plan: Plan, figures: Figures) -> None:
        """Observe the limits of this plan from now on, with the figures that its replicas run with."""
        self._figures = figures.of
        if plan is not self._planned.plan:
            self._planned = PlannedLimits.of(plan)

    def live(self, slot: Slot) -> Limits | None:
        """Return what is in a slot; None where there is no such slot."""
        return self._reader.slots.limits().get(slot)

    def slots(self) -> Mapping[Slot, Limits]:
        """Return what is in every slot."""
        return self._reader.slots.limits()

    def begin_term(self) -> None:
        """Forget how far stages had come: what another leader has brought them to stands in the slots."""
        self._stages = StageTracker(self._counts)

    def note_change(self, change: LimitChange) -> None:
        """Note a limit that is in force now."""
        key = change.entry[1]
        self._capacity.note_in_force(key, change.total, key in self._last[1].overrides)

    def next_due(self) -> float | None:
        """Return when something changes without an event: counts too old, a ramp's step, a rollback's end, an
        override's end."""
        now, utc = self._clock.now(), self._clock.utc()
        stale_at = self._store.last_seen.get("Pod", 0.0) + self._settings.stale_after
        end = overrides.next_end((o for limited in self._planned.overridden.values() for o in limited.overrides), utc)
        moments = (
            stale_at if stale_at > now else None,
            self._last[1].staged.next_at,
            self._rollbacks.next_end(),
            None if end is None else now + min(WALL_LOOK, (end - utc).total_seconds()) + 0.001,
        )
        return min((at for at in moments if at is not None), default=None)

    def observe(self, state: LimitState) -> ObservedLimits:
        """Return what the store shows of replicas, gateway pods and slots, and what every limit should be."""
        planned, now = self._planned, self._clock.now()
        fresh = now - self._store.last_seen.get("Pod", 0) < self._settings.stale_after
        in_force, overruled = self._overrides_in_force(), self._overruled()
        slots = self._reader.slots.limits()
        self._rollbacks.end(slots, now)
        kept = self._retained_keys(slots)
        staged = self._stage(in_force, slots, kept)
        versions = (self._counts.version, self._rollbacks.version)
        changes = (self._store.changes("Pod"), self._store.owned_changes, self._samples.version)
        planned_inputs = (id(planned.plan), planned.plan, in_force, overruled, self._figures)
        inputs = (*changes, fresh, staged, versions, *planned_inputs)
        if self._last[0] == inputs:
            return self._last[1]
        found = replace(self._observed(state, slots, kept, in_force, staged, fresh, versions), overruled=overruled)
        self._last = (inputs, found)
        return found

    def _observed(
        self,
        state: LimitState,
        slots: Mapping[Slot, Limits],
        kept: frozenset[LimitKey],
        in_force: Mapping[LimitKey, Override],
        staged: StagedLimits,
        fresh: bool,
        versions: tuple[int, int],
    ) -> ObservedLimits:
        self._capacity.figures = self._figures
        counted = self._capacity.count(self.plan, in_force, fresh)
        targets, lifted = self._targets_of(state, counted, in_force, staged)
        live = {
            slot: self._rollbacks.desired(slot, found) for slot, found in slots.items() if slot[0] in self.plan.pools
        }
        drifted = frozenset(slot for slot, limits in live.items() if self._has_drifted(slot, limits))
        self._memo.end_round()
        self._reader.end_round(len(counted))
        return ObservedLimits(
            Observation(self._moment(), targets, kept, live, drifted, staged.placed),
            LimitFeedback(_closed(targets, staged), frozenset(lifted)),
            in_force,
            staged,
            lifted,
            self._planned.own,
            self._capacity.doubts,
            versions,
        )

    def _targets_of(
        self,
        state: LimitState,
        counted: Mapping[LimitKey, ModelCapacity],
        in_force: Mapping[LimitKey, Override],
        staged: StagedLimits,
    ) -> tuple[dict[LimitKey, LimitTarget], dict[LimitKey, LimitTarget]]:
        """Return the target of every limit, those of lifted limits apart: they have no part in a tenant's ceiling."""
        free = {i for i, c in counted.items() if overrides.lifts(in_force.get(i), c.terms)}
        free |= {i for i in counted if i.whole in staged.holders} if staged.holders else set()
        totals: dict[LimitKey, Total] = dict(
            within_tenant_ceilings({i: (c.terms, c.total) for i, c in counted.items() if i not in free})
        )
        totals |= {i: counted[i].total for i in free}
        gateways = {name: len(self._reader.pods.gateway_pods_of(pool)) for name, pool in self.plan.pools.items()}
        targets = self._targets.targets(counted, totals, gateways, staged, state)
        lifted = {i: targets[i] for i in free}
        if lifted:
            targets = {i: target for i, target in targets.items() if i not in lifted}
        self._targets.note_applied(in_force, targets, state)
        return targets, lifted

    def _overrides_in_force(self) -> dict[LimitKey, Override]:
        """Return the override in force of each model that has one."""
        now = self._clock.utc()
        found = {i: overrides.strongest(limited.overrides, now) for i, limited in self._planned.overridden.items()}
        return {identity: override for identity, override in found.items() if override}

    def _overruled(self) -> dict[LimitKey, tuple[Override, ...]]:
        """Return the overrides of each model that a stronger one keeps from being in force."""
        now = self._clock.utc()
        several = ((i, limited.overrides) for i, limited in self._planned.overridden.items() if limited.overrides[1:])
        found = {identity: overrides.overruled(of_model, now) for identity, of_model in several}
        return {identity: of_model for identity, of_model in found.items() if of_model}

    def _retained_keys(self, slots: Mapping[Slot, Limits]) -> frozenset[LimitKey]:
        """Return the keys whose limits stay though no document asks for them; looked up where that may differ only."""
        lifted = self._last[1].feedback.lifted
        changes = (self._store.changes("EnvoyFilter"), self._store.owned_changes)
        inputs = (*changes, id(self.plan), self.plan, lifted)
        return self._retained.get(inputs, lambda: retention.retained_keys(self.plan, lifted, slots, self._store.owned))

    def _stage(
        self, in_force: Mapping[LimitKey, Override], slots: Mapping[Slot, Limits], kept: frozenset[LimitKey]
    ) -> StagedLimits:
        """Return how far the limits have come that are not simply enforced."""
        shadowed = {i for i, override in in_force.items() if override.mode == "shadow"}
        limits = self.plan.limits
        found = {**self._planned.stageable, **{i: limits[i] for i in shadowed if i in limits}}
        return self._stages.stage(found, in_force, slots, kept, self._clock.now())

    def _moment(self) -> float:
        """Return when what is observed came about: the last pod event, if this pass follows it closely."""
        now, changed = self._clock.now(), self._store.changed_at.get("Pod", 0.0)
        return changed if now - changed < 5 * self._settings.limit_quiet else now

    def _has_drifted(self, slot: Slot, desired: Limits) -> bool:
        """Tell whether a slot's EnvoyFilter differs from what would be written for these limits."""
        limits = self._rollbacks.substitute(slot, desired)
        obj, pool = self._reader.slots.objects()[slot], self.plan.pools[slot[0]]
        sent = self._rollbacks.sent(slot, obj)

        def differs() -> bool:
            (wanted,) = render_slot(SlotFacts(pool, slot[1], limits, sent))
            return not is_in_line(wanted, obj)

        return self._memo.get(slot, (obj["metadata"]["resourceVersion"], pool, limits, sent), differs)


def _closed(targets: Mapping[LimitKey, LimitTarget], staged: StagedLimits) -> dict[LimitKey, str]:
    return {
        identity: f"{found.terms.namespace}/{found.terms.model} takes no requests: no replica is ready"
        for identity, found in targets.items()
        if found.target.total.closed and not staged.is_partial(identity)
    }


def _may_be_staged(limited: Limited) -> bool:
    terms = limited.terms
    return terms.mode in ("shadow", "ramp") or terms.verdict is not None
