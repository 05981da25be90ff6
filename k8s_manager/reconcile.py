"""The main loop: bring the cluster in line with the documents, again and again.

    watches ──> store ──> gather ──> World ──> plan ──> render ──> diff ──> apply ──> conditions

Everything between the store and apply is pure. The limits have a loop of their own (`limits`), which takes its
terms from the plan made here.
"""

import asyncio
import logging

from k8s_manager.admission.warmup_rules import PlanChecks
from k8s_manager.dataplane.config_probe import ConfigProbeLoop
from k8s_manager.dataplane.envoy_counters import CounterLoop
from k8s_manager.drift.repair import DriftEvents
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.store import Store
from k8s_manager.limits.limit_loop import LimitLoop
from k8s_manager.pipeline.apply import Basis, Target
from k8s_manager.pipeline.diff import Differ
from k8s_manager.pipeline.plan import Plan, Planner
from k8s_manager.pipeline.render import Renderer
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.hold_off import hold_off
from k8s_manager.runtime.metrics import CERTIFICATE, PASS_SECONDS, PASSES
from k8s_manager.runtime.settings import Settings
from k8s_manager.status.finalizers import Finalizers
from k8s_manager.status.sources import StatusSources
from k8s_manager.status.status_builder import StatusBuilder
from k8s_manager.status.status_writer import StatusWriter
from k8s_manager.traffic import gateway_migration
from k8s_manager.traffic.drain import defer_draining
from k8s_manager.warmup_gate.gate_loop import GateLoop
from k8s_manager.world import certificate
from k8s_manager.world.world import World
from ratelimiter import overrides

log = logging.getLogger(__name__)


class MainLoop:
    """What the loop carries from pass to pass: memories that save work, never decisions."""

    def __init__(
        self,
        store: Store,
        target: Target,
        statuses: StatusWriter,
        finalizers: Finalizers,
        drift_events: DriftEvents,
        limits: LimitLoop,
        proofs: ConfigProbeLoop,
        counters: CounterLoop,
        gates: GateLoop,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._store, self._target, self._limits = store, target, limits
        self._statuses, self._finalizers, self._drift_events = statuses, finalizers, drift_events
        self._proofs, self._counters, self._gates = proofs, counters, gates
        self._clock, self._settings = clock, settings
        self.gatherer = WorldReader(store, settings.gateway_overlap, waits_for_git=settings.git is not None)
        self.plan_checks = PlanChecks()
        self._planner, self._renderer, self._differ = Planner(self.plan_checks), Renderer(), Differ()
        self._status_builder = StatusBuilder()
        self.dirty = store.signal(frozenset(KINDS))
        self.world: World | None = None
        self.plan = Plan()
        self._wake_at: float | None = None
        self._shown: tuple[object, object] = ({}, {})
        self.passed = asyncio.Event()
        limits.changed = proofs.changed = counters.changed = self.dirty

    async def run(self, leads: bool = True) -> None:
        """Run pass after pass until cancelled; a pass that fails is tried again. Only one that leads writes."""
        await self._store.synced.wait()
        self.dirty.set()
        async for _ in hold_off(
            self.dirty, self._settings.quiet, self._settings.longest, self._clock, lambda: self._wake_at
        ):
            started = self._clock.now()
            try:
                self._wake_at = await self.once(leads)
                self.passed.set()
                PASSES.labels("success").inc()
            except Exception:
                PASSES.labels("error").inc()
                log.exception("a pass failed; it is tried again")
                self._wake_at = self._clock.now() + 5
            PASS_SECONDS.observe(self._clock.now() - started)

    async def once(self, leads: bool = True) -> float | None:
        """Make one pass; return when the next is due without an event."""
        now = self._clock.utc()
        world = self.gatherer.world(now)
        plan = self._planner.plan(world, self._limits.closed, self._limits.lifted)
        self.world, self.plan = world, plan
        self._limits.follow(plan)
        self._show(world, plan)
        if not leads:
            return None
        await self._finalizers.add(world)
        desired = self._renderer.render(plan)
        store = self._store
        changes = self._differ.diff(plan, desired, store.owned, store.owned_changes, world.limited)
        changes.deletes, changes.draining = defer_draining(changes.deletes, world, now)
        results = await self._target.apply(changes, Basis(now, world, plan))
        results.repaired |= self._limits.repaired()
        await self._drift_events.record(results.repaired)
        await self._finalizers.remove(plan, store.owned, self.gatherer.limited())
        sources = StatusSources(self._limits, self._proofs, self._counters, self._gates)
        statuses = self._status_builder.statuses(world, plan, results, sources, store.owned, changes, now)
        later = await self._statuses.write(world, statuses)
        certified = certificate.due(plan.certificates, world.certificates, now)
        dues = (gateway_migration.due(world.bindings, now), changes.draining.due(now), certified)
        ends = [due for due in dues if due is not None]
        override = overrides.next_end(plan.overrides.values(), now)
        again = [*(failure.again_at for failure in results.failures.values()), *results.put_off.values()]
        again += [later] if later is not None else []
        again += [self._clock.now() + end + 1 for end in ends]
        again += [self._clock.now() + (override - now).total_seconds() + 0.01] if override else []
        return min(again, default=None)

    def _show(self, world: World, plan: Plan) -> None:
        """Export when certificates that are served end."""
        if self._shown == (world.certificates, plan.certificates):
            return
        self._shown = (world.certificates, plan.certificates)
        CERTIFICATE.clear()
        for place in {place for uses in plan.certificates.values() for place in uses}:
            if certificate := world.certificates.get(place):
                CERTIFICATE.labels(*place).set(certificate.until.timestamp())


KINDS: tuple[str, ...] = (
    "InferenceGateway", "Tenant", "Model", "LimitOverride", "WarmupPlan", "AccessGrant", "Namespace", "Pod", "Secret",
    "ServiceAccount", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler",
    "NetworkPolicy", "RoleBinding", "Gateway", "VirtualService", "DestinationRule", "EnvoyFilter",
)  # fmt: skip
