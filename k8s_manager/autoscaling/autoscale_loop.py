"""The autoscale loop: from signals to numbers of replicas, every ten seconds.

A standby decides too and writes nothing, so that it knows the window behind when it takes over. A manager that has just
started knows none, and takes no replica away before it does.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from collectors.autoscalers import complaint
from istio_templates.facts import ObjectKey
from k8s_manager.autoscaling.api_service_reader import ApiServiceReader
from k8s_manager.autoscaling.quotas.namespace_quota import Rooms, spare_in
from k8s_manager.autoscaling.quotas.quota_reader import QuotaBounds, QuotaReader
from k8s_manager.autoscaling.replica_floors import ReplicaFloors
from k8s_manager.autoscaling.saturation_record import recorded_saturation
from k8s_manager.autoscaling.scale_status import APPLIED_BY
from k8s_manager.autoscaling.scale_target import ScaleTarget, VersionKey, scale_targets
from k8s_manager.autoscaling.scale_view import ScaleView, ScaleViews
from k8s_manager.autoscaling.scale_writer import ScaleWriter
from k8s_manager.autoscaling.signal_source import SignalReadings, SignalSource
from k8s_manager.autoscaling.start_time import start_seconds
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import Cadence, control_loop, each
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.metrics import AUTOSCALE_LIMITED, AUTOSCALE_MISSING, AUTOSCALE_RATIO, AUTOSCALED
from k8s_manager.runtime.settings import Settings
from k8s_manager.statistics.whole_rows import seconds_to_look
from k8s_manager.world.world import World
from ratelimiter.autoscale.decision import Hold, ScaleDecision, ScaleMemory, ScaleObservation, ScaleRules, decide
from ratelimiter.autoscale.document_rules import rules_at
from ratelimiter.autoscale.saturation import Saturation, SaturationMemory, measured, remembered

QUIET, LONGEST = 0.2, 1.0
"""Seconds for which a look waits after a change of documents or Deployments."""
STALE = (
    "nothing was heard of pods for {:g} s, so that warm replicas are not known; look whether the API server answers, "
    "and at the manager's log"
)


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a version at a moment: its rules then, and what is seen of it."""

    target: ScaleTarget
    at: datetime
    rules: ScaleRules
    seen: ScaleObservation


class AutoscaleLoop:
    """Keeps the replicas of versions with `autoscale` at what their signals ask for. `changed` is set when a status has
    to show something else."""

    def __init__(
        self,
        client: FencedClient,
        store: Store,
        source: SignalSource,
        clock: Clock,
        settings: Settings,
        events: Events,
        changed: asyncio.Event,
        floors: ReplicaFloors,
    ) -> None:
        self._store, self._source, self._clock, self._settings = store, source, clock, settings
        self._changed, self._floors = changed, floors
        self._effects = Effects(clock, asyncio.Event())
        self._quotas, self._bounds = QuotaReader(client, clock), QuotaBounds()
        self._metrics = ApiServiceReader(client, clock, settings.external_metrics_service)
        self._writer = ScaleWriter(client, store, events, self._effects)
        self._targets: dict[VersionKey, ScaleTarget] | None = None
        self._memories: dict[VersionKey, ScaleMemory] = {}
        self._saturations: dict[VersionKey, SaturationMemory] = {}
        self.views = ScaleViews()

    def follow(self, world: World, plan: Plan) -> None:
        """Take over what the main loop has planned; a version that is new or has changed is looked at now."""
        before = self._targets or {}
        self._targets = scale_targets(world, plan)
        if any(_is_urgent(before.get(key), target) for key, target in self._targets.items()):
            self._effects.wake.set()

    async def run(self, leads: bool = True) -> None:
        """Look, decide and write, until cancelled."""
        self._effects.wake.set()
        cadence = Cadence(QUIET, LONGEST)
        await control_loop("autoscaling", partial(self.once, leads), self._effects, cadence, self._clock)

    async def once(self, leads: bool = True) -> float | None:
        """Make one pass, once there is a plan; return when the next is due without an event."""
        if self._targets is None:
            return None
        pause = seconds_to_look(self._clock.utc().timestamp(), self._settings.autoscale_every)
        due = self._clock.now() + pause
        targets = {key: target for key, target in self._targets.items() if target.replicas is not None}
        read = await self._source.read(list(targets.values())) if targets else SignalReadings()
        rooms = await self._quotas.rooms() if targets else {}
        held_by = await self._held_by(targets)
        looks = each("autoscaling", targets, lambda key: self._look(targets[key], read))
        spare, bearable = self._spare(looks, rooms), self._bounds.of(rooms, targets.values())

        def view(key: VersionKey) -> ScaleView:
            return replace(
                self._view(looks[key], read, spare.get(key)),
                bearable=bearable.get(key),
                held_by=held_by.get(key, ""),
                complaint=self._complaint(targets[key]),
            )

        views = each("autoscaling", looks, view)
        self._memories = {key: memory for key, memory in self._memories.items() if key in targets}
        self._saturations = {key: memory for key, memory in self._saturations.items() if key in targets}
        if leads:
            failures = await self._writer.write(_wishes(views))
            views = {key: replace(view, failure=failures.get(key)) for key, view in views.items()}
            _count(views)
        if self.views.show(views):
            self._changed.set()
        return due if targets else None

    async def _held_by(self, targets: Mapping[VersionKey, ScaleTarget]) -> dict[VersionKey, str]:
        """Return, for versions that an HPA scales, who else has the external metrics that it needs."""
        scaled = [key for key, target in targets.items() if target.document.writer == "hpa"]
        return dict.fromkeys(scaled, await self._metrics.other_holder()) if scaled else {}

    def _complaint(self, target: ScaleTarget) -> str:
        """Return why the object that is to apply the number does not."""
        kind = APPLIED_BY.get(target.document.writer, "")
        found = self._store.owned.get(ObjectKey(kind, target.key.namespace, target.deployment))
        return complaint(found) if found else ""

    def _look(self, target: ScaleTarget, read: SignalReadings) -> _Look:
        now, at = self._clock.now(), self._clock.utc()
        floor = self._floors.of(target.key)
        seen = ScaleObservation(
            at=now,
            replicas=target.replicas or 0,
            warm=target.warm,
            readings={} if self._pods_are_stale() else read.values.get(target.key, {}),
            releasing=target.releasing or floor is not None,
            warm_up=self._start_seconds(target),
        )
        rules = rules_at(target.document, target.per_replica, at)
        return _Look(target, at, replace(rules, least=min(rules.most, max(rules.least, floor or 0))), seen)

    def _pods_are_stale(self) -> bool:
        """Tell whether it is too long ago that anything was heard of pods, so that warm replicas are not known."""
        return self._clock.now() - self._store.last_seen.get("Pod", 0.0) >= self._settings.stale_after

    def _missing(self, target: ScaleTarget, read: SignalReadings) -> Mapping[str, str]:
        """Return, by signal, in a sentence why it says nothing."""
        if not self._pods_are_stale():
            return read.missing.get(target.key, {})
        said = STALE.format(self._settings.stale_after)
        return {signal.name: said for signal in target.document.signals}

    def _spare(self, looks: Mapping[VersionKey, _Look], rooms: Mapping[str, Rooms]) -> dict[VersionKey, int]:
        """Return how many replicas more each version may get in namespaces with quotas."""
        found: dict[VersionKey, int] = {}
        for namespace, room in rooms.items():
            here = {str(key): look for key, look in looks.items() if key.namespace == namespace}
            asked = self._asked(here)
            spare = spare_in(room, {name: here[name].target for name in asked}, asked)
            found |= {here[name].target.key: count for name, count in spare.items()}
        return found

    def _asked(self, looks: Mapping[str, _Look]) -> dict[str, int]:
        return each("autoscaling", looks, lambda name: self._decide(looks[name])[0].replicas)

    def _view(self, look: _Look, read: SignalReadings, spare: int | None) -> ScaleView:
        key = look.target.key
        decision, self._memories[key] = self._decide(look, spare)
        missing = self._missing(look.target, read)
        return ScaleView(look.target, decision, look.at, missing, saturation=self._saturation(look, decision))

    def _saturation(self, look: _Look, decision: ScaleDecision) -> Saturation | None:
        """Return how a version does not bear its load; what is remembered of other signals or pods does not count."""
        target = look.target
        each = None if target.per_replica is None else float(target.per_replica)
        load = measured(decision.weighing.terms, each, target.warm)
        about = (each, target.document.signals, target.template)
        memory = self._saturations.get(target.key) or self._recorded(target, about, look.seen.at)
        memory = self._saturations[target.key] = remembered(memory, about, load, look.seen.at)
        return memory.found

    def _recorded(self, target: ScaleTarget, about: object, at: float) -> SaturationMemory:
        """Return what a manager before this one remembered of a version, by the status of its Model."""
        model = self._store.get(ObjectKey("Model", target.key.namespace, target.key.model)) or {}
        return SaturationMemory(about, recorded_saturation(model, target), last=at)

    def _decide(self, look: _Look, spare: int | None = None) -> tuple[ScaleDecision, ScaleMemory]:
        memory = self._memories.get(look.target.key, ScaleMemory())
        return decide(look.rules, memory, replace(look.seen, spare=spare))

    def _start_seconds(self, target: ScaleTarget) -> float:
        """Return how long a replica takes to be warm, where that is asked for."""
        if not target.document.scale_up.forecast:
            return 0.0
        return start_seconds(self._store.inside("Pod", target.key.namespace), target.labels)


def _is_urgent(before: ScaleTarget | None, now: ScaleTarget) -> bool:
    shown = ("document", "foreign", "lacking", "replicas", "releasing")
    return before is None or any(getattr(before, name) != getattr(now, name) for name in shown)


def _wishes(views: Mapping[VersionKey, ScaleView]) -> dict[VersionKey, tuple[ScaleTarget, int]]:
    """Return the numbers that Tidegate itself is to write. No HorizontalPodAutoscaler wakes a Deployment that has been
    set to nothing: the first replicas of such a one are written too."""
    return {
        key: (view.target, view.decision.replicas)
        for key, view in views.items()
        if (
            view.target.document.writer == "tidegate"
            or (view.target.document.writer, view.target.replicas) == ("hpa", 0)
        )
        and view.target.foreign is None
        and view.decision.replicas != view.target.replicas
    }


def _count(views: Mapping[VersionKey, ScaleView]) -> None:
    for gauge in (AUTOSCALED, AUTOSCALE_RATIO, AUTOSCALE_MISSING, AUTOSCALE_LIMITED):
        gauge.clear()
    for key, view in views.items():
        decision = view.decision
        AUTOSCALED.labels(*key).set(decision.replicas)
        AUTOSCALE_MISSING.labels(*key).set(len(decision.weighing.missing))
        AUTOSCALE_LIMITED.labels(*key).set(not {Hold.AT_MOST, Hold.QUOTA}.isdisjoint(decision.holds))
        if decision.weighing.ratio is not None:
            AUTOSCALE_RATIO.labels(*key).set(decision.weighing.ratio)
