"""The main loop: bring the cluster in line with the documents, again and again.

    watches ──> store ──> gather ──> World ──> admit ──> plan ──> render ──> diff ──> apply ──> status

Everything between the store and apply is pure. The limits have a loop of their own (`limits`), which takes its
terms from the plan made here.
"""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import NamedTuple

from k8s_manager.admission.admit import Admitter
from k8s_manager.admission.rules.warmup_rules import PlanChecks
from k8s_manager.autoscaling.autoscale_loop import AutoscaleLoop
from k8s_manager.callers.expiry import CallerExpiry
from k8s_manager.dataplane.config_probe import ConfigProbeLoop
from k8s_manager.dataplane.envoy_counters import CounterLoop
from k8s_manager.drift.repair import DriftEvents
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.event import EventOutbox
from k8s_manager.kube.resources import GATEWAY_API
from k8s_manager.kube.store import Store
from k8s_manager.limits.limit_loop import LimitLoop
from k8s_manager.pipeline.apply import ApplyTarget, Basis, Results
from k8s_manager.pipeline.changes import Changes, without
from k8s_manager.pipeline.diff import Differ
from k8s_manager.pipeline.figure_records import FigureRecords
from k8s_manager.pipeline.figures import FigureTracker
from k8s_manager.pipeline.plan import Plan, Planner
from k8s_manager.pipeline.render import Renderer
from k8s_manager.pipeline.write_order import hold_draining
from k8s_manager.release.live.live_figures import LiveFigures
from k8s_manager.release.registry.registry_loop import RegistryLoop
from k8s_manager.release.release_loop import ReleaseLoop
from k8s_manager.runtime.clock import WALL_LOOK, Clock
from k8s_manager.runtime.control_loop import Cadence, control_loop
from k8s_manager.runtime.effects.lane import Effects, earliest
from k8s_manager.runtime.metrics import CERTIFICATE, PASS_SECONDS, PASSES
from k8s_manager.runtime.settings import Settings
from k8s_manager.status.finalizers import Finalizers
from k8s_manager.status.sources import StatusSources
from k8s_manager.status.status_builder import StatusBuilder
from k8s_manager.status.status_writer import StatusWriter
from k8s_manager.status.versions.selection_memo import SELECTION_LOOK
from k8s_manager.traces.document_changes import DocumentChanges
from k8s_manager.traces.spans import DOCUMENTS, NO_SPANS, SpanRecorder
from k8s_manager.traffic import gateway_migration
from k8s_manager.traffic.deadlines import Deadlines
from k8s_manager.traffic.resolver import TrafficResolver
from k8s_manager.warmup_gate.gate_loop import GateLoop
from k8s_manager.warmup_gate.plan_trials import PlanTrials
from k8s_manager.world import certificate
from k8s_manager.world.rollout import grace_ends
from k8s_manager.world.world import World
from ratelimiter import overrides

GIVE_WAY = 0.3
"""For how many seconds at most a pass waits for a limit."""


class Writers(NamedTuple):
    """What the main loop writes by; a failure of any of them comes back as a moment when it is due."""

    target: ApplyTarget
    statuses: StatusWriter
    finalizers: Finalizers
    drift_events: DriftEvents
    records: FigureRecords
    outbox: EventOutbox


class MainLoop:
    """What the loop carries from pass to pass: memories that save work, never decisions."""

    def __init__(
        self,
        store: Store,
        writers: Writers,
        limits: LimitLoop,
        proofs: ConfigProbeLoop,
        counters: CounterLoop,
        gates: GateLoop,
        autoscale: AutoscaleLoop,
        releases: ReleaseLoop,
        live: LiveFigures,
        registries: RegistryLoop,
        clock: Clock,
        settings: Settings,
        effects: Effects,
        spans: SpanRecorder = NO_SPANS,
    ) -> None:
        self._spans, self._changed = spans, DocumentChanges()
        self._effects, self.trigger = effects, effects.wake
        self._store, self._limits = store, limits
        self._target, self._statuses, self._finalizers, self._drift_events, self._records, self._outbox = writers
        self._proofs, self._counters, self._gates, self._autoscale = proofs, counters, gates, autoscale
        self._releases, self._live, self._registries = releases, live, registries
        self._clock, self._settings = clock, settings
        self.gatherer = WorldReader(store, keda=settings.keda)
        self.traffic = TrafficResolver(settings.gateway_overlap)
        self._deadlines, self._expiry = Deadlines(), CallerExpiry()
        self.plan_checks = PlanChecks()
        self._plan_trials = PlanTrials(self.plan_checks, self.trigger.set)
        self.figures = FigureTracker(self.gatherer.pods)
        self._admitter, self._planner = Admitter(self.plan_checks), Planner()
        self._renderer, self._differ, self._status_builder = Renderer(), Differ(), StatusBuilder()
        self.world: World | None = None
        self.plan = Plan()
        self._shown: tuple[object, object] = ({}, {})
        self._length = 0.0
        self.passed = asyncio.Event()

    async def run(self, leads: bool = True) -> None:
        """Run pass after pass until cancelled; a pass that fails is requeued. Only a leader writes."""
        await self._store.synced.wait()
        self.trigger.set()
        cadence = Cadence(self._settings.quiet, self._settings.longest)
        await control_loop(
            "documents", partial(self._next, leads), self._effects, cadence, self._clock, report=self._report
        )

    def _report(self, succeeded: bool, seconds: float) -> None:
        """Count a pass."""
        if succeeded:
            self.passed.set()
        PASSES.labels("success" if succeeded else "error").inc()
        PASS_SECONDS.observe(seconds)
        self._length = min(seconds, GIVE_WAY)

    async def _next(self, leads: bool) -> float | None:
        """Make a pass, after a limit that would come due in the middle of it: a pass holds the event loop."""
        await self._limits.right_of_way.give_way(self._length)
        with self._spans.span("reconcile pass", {"tidegate.leads": leads}):
            try:
                return await self.once(leads)
            finally:
                self._note_documents()

    def _note_documents(self) -> None:
        """Add to the span of a pass which documents it was the first to see: calls of the API name them too."""
        if self._spans.is_on and self.world is not None:
            found = self._changed.since_last((stored.key, stored.generation) for stored in self.world.documents())
            self._spans.note({DOCUMENTS: found})

    async def once(self, leads: bool = True) -> float | None:
        """Make one pass; return when the next is due without an event."""
        now = self._clock.utc()
        read = self.gatherer.world()
        settled = self._deadlines.settled(read, now, self._clock.now(), self._settings.gateway_overlap)
        world = self._expiry.at(self.traffic.resolve(settled, now), now)
        await self._plan_trials.prepare(world)
        await _give_turn()
        admission, feedback = self._admitter.admit(world), self._limits.feedback
        plan = self._planner.plan(world, admission, feedback.closed, feedback.lifted)
        self.world, self.plan = world, plan
        desired, store = self._renderer.render(plan), self._store
        figures = (self.figures.follow if leads else self.figures.read)(plan, desired, world, store.owned)
        self._limits.follow(plan, figures)
        self._autoscale.follow(world, plan)
        self._releases.follow(settled, world, plan)
        self._live.follow(world, plan)
        self._registries.follow(world, plan)
        self._show(world, plan)
        if not leads:
            return None
        unrecorded = await self._records.write(figures.records)
        await self._finalizers.add(world)
        plan = plan.freeze(desired.failed)
        changes = self._differ.diff(plan, desired, store.owned, store.owned_changes, world.limited)
        changes = hold_draining(without(changes, unrecorded), world, now)
        await _give_turn()
        results = await self._target.apply(changes, Basis(now, world, plan))
        results.repaired |= self._limits.take_repairs()
        self._drift_events.record(results.repaired)
        await self._outbox.write()
        await self._finalizers.remove(plan, store.owned, self.gatherer.slots.limited())
        scales, live, registries = self._autoscale.views, self._live, self._registries
        sources = StatusSources(self._limits.views, self._proofs, self._counters, self._gates, scales, live, registries)
        statuses = self._status_builder.statuses(world, plan, results, sources, store.owned, changes, now)
        await _give_turn()
        later = await self._statuses.write(read, statuses)
        await self._outbox.write()
        return earliest([later, *self._dues(world, plan, changes, results, now)])

    def _dues(
        self, world: World, plan: Plan, changes: Changes, results: Results, now: datetime
    ) -> Iterator[float | None]:
        """Yield when something happens without an event: the end of a migration, a drain, an override, a caller, or
        what a selection waits for. The loop's effects see to what failed."""
        yield from results.put_off.values()
        ends = (
            gateway_migration.due(world.bindings, now),
            changes.draining.due(now),
            _soon(certificate.due(plan.certificates, world.certificates, now)),
            _soon(grace_ends(world.unplaced, now)),
        )
        yield from (self._clock.now() + end + 1 for end in ends if end is not None)
        if (drift := self._status_builder.drift_ends(now)) is not None:
            yield self._clock.now() + drift.total_seconds() + 0.1
        if any(stored.spec and stored.spec.selection for stored in world.models):
            yield self._clock.now() + SELECTION_LOOK
        ends_by_date = (overrides.next_end(plan.overrides.values(), now), self._expiry.next_end(world, now))
        for end_by_date in filter(None, ends_by_date):
            yield self._clock.now() + min(WALL_LOOK, (end_by_date - now).total_seconds()) + 0.01

    def _show(self, world: World, plan: Plan) -> None:
        """Export when certificates that are served end."""
        if self._shown == (world.certificates, plan.certificates):
            return
        self._shown = (world.certificates, plan.certificates)
        CERTIFICATE.clear()
        for place in {place for uses in plan.certificates.values() for place in uses}:
            if certificate := world.certificates.get(place):
                CERTIFICATE.labels(*place).set(certificate.until.timestamp())


def _soon(seconds: float | None) -> float | None:
    return None if seconds is None else min(seconds, WALL_LOOK)


async def _give_turn() -> None:
    """Let what came meanwhile be read, and a limit be written: with a thousand models a stage takes tens of ms."""
    await asyncio.sleep(0)


KINDS: tuple[str, ...] = (
    "InferenceGateway", "Tenant", "Model", "LimitOverride", "WarmupPlan", "AccessGrant", "ModelVersion", "Caller",
    "Namespace", "Pod", "Secret",
    "ServiceAccount", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler",
    "NetworkPolicy", "RoleBinding", "Gateway", "VirtualService", "DestinationRule", "EnvoyFilter", "Telemetry",
    "ScaledObject", *GATEWAY_API,
)  # fmt: skip
