"""The release loop: from what is seen of two versions to the weights of a model, every few seconds.

It writes `status.rollout`, and from there the main loop takes the weights: a leader that dies between the two leaves a
status from which the next goes on. It remembers nothing besides.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from istio_templates import names
from istio_templates.documents import ModelSpec
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.autoscaling.replica_floors import ReplicaFloors
from k8s_manager.autoscaling.scale_target import VersionKey
from k8s_manager.kube.base_version import pinned, write_over
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.merge_patch import patch_between
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.plan import Plan
from k8s_manager.release.annotation.record_writer import RecordWriter
from k8s_manager.release.decision.checks import IN_A_ROW
from k8s_manager.release.decision.decision import ReleaseDecision, decide
from k8s_manager.release.decision.observation import ReleaseAction, ReleaseObservation
from k8s_manager.release.decision.state import ENDED, ReleasePhase, ReleaseReason, ReleaseState
from k8s_manager.release.external.external_checks import ExternalChecks
from k8s_manager.release.gateway_counts import CountQuestion
from k8s_manager.release.quiet_hours import step_permission
from k8s_manager.release.release_source import ReleaseQuestion, ReleaseReadings, ReleaseSource
from k8s_manager.release.release_status import lost_rollout
from k8s_manager.release.release_target import ModelPlace, ReleaseTarget, release_targets
from k8s_manager.release.status_record import record_of, rollout_in, state_of, status_of
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import Cadence, control_loop, each
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.metrics import RELEASE_BLOCKED, RELEASE_WAITING, RELEASE_WEIGHT, RELEASES
from k8s_manager.runtime.settings import Settings
from k8s_manager.world.world import Stored, World

QUIET, LONGEST = 0.1, 0.5
"""Seconds for which a look waits after a change of documents or replicas."""
SHOWN_AGAIN = 15.0
"""Seconds after which a status shows the figures of a release that is otherwise the same."""
YOUNG, SOONER = 10.0, 2.0
"""For so many seconds a step is looked at so many times as often: a look that gateway pods did not answer, or a route
that came to them late, then costs less than the pause between two."""
AT_ONCE = 8
PATIENCE = 4.0
"""Seconds in which requests and queries are read, or count as missing."""
WAITING = (ReleasePhase.HOLDING, ReleasePhase.AWAITING_APPROVAL)
WAITS_FOR = (ReleaseReason.QUOTA, ReleaseReason.VERSION_BLOCKED)
"""What a release does not get over by itself."""


class ReleaseLoop:
    """Moves the requests of models with a rollout from version to version."""

    def __init__(
        self,
        client: FencedClient,
        store: Store,
        source: ReleaseSource,
        externals: ExternalChecks,
        floors: ReplicaFloors,
        clock: Clock,
        settings: Settings,
        events: Events,
        wake: asyncio.Event,
    ) -> None:
        self._client, self._store, self._source, self._floors = client, store, source, floors
        self._externals = externals
        self._clock, self._settings, self._events = clock, settings, events
        self._effects = Effects(clock, wake)
        self._lane = self._effects.lane("release", AT_ONCE)
        self._records = RecordWriter(client, store, self._effects)
        self._targets: dict[ModelPlace, ReleaseTarget] = {}
        self._shown: dict[ModelPlace, float] = {}
        self._leads = False

    def follow(self, stored: World, world: World, plan: Plan) -> None:
        """Take over what the main loop has planned; a model that has changed is looked at now. `stored` has the
        documents as they are written, `world` those to go by."""
        before = self._targets
        self._targets = release_targets(stored, world, plan)
        if before != self._targets:
            self._effects.wake.set()
        if self._leads and (left := before.keys() - self._targets.keys()):
            self._say_lost([model for model in stored.models if ModelPlace(*model.key[1:]) in left])

    def _say_lost(self, models: Iterable[Stored[ModelSpec]]) -> None:
        """Tell of releases that have lost their rollout, and with it their steps."""
        for model in models:
            if model.spec and (said := lost_rollout(model.spec, model.status)):
                self._events.publish("release", f"{model.key.namespace}/{model.key.name}", said, kind="Model")

    async def run(self, leads: bool = True) -> None:
        """Look, decide and write, until cancelled; only a leader does."""
        self._leads = leads
        if not leads:
            return
        self._effects.wake.set()
        cadence = Cadence(QUIET, LONGEST)
        try:
            await control_loop("releases", self.once, self._effects, cadence, self._clock)
        finally:
            await self._externals.close()

    async def once(self) -> float | None:
        """Make one pass; return when the next is due without an event. What an operator asks for does not wait for what
        is read."""
        began = self._clock.now()
        models = {place: live for place in self._targets if (live := self._model(place)) is not None}
        states = {place: state_of(rollout_in(live)) for place, live in models.items()}
        await self._hurry(models, states)
        read = await self._read(states)
        found = self._decided(states, read)
        after = {place: state for place, (_, state) in found.items()}
        floors = _floors({place: decision for place, (decision, _) in found.items()})
        self._floors.ask(floors, undecided=states.keys() - found.keys())
        _count(after)
        await self._write(models, after)
        await self._records.write({at: record_of(state, self._targets[at].wanted) for at, state in after.items()})
        is_left = await self._externals.tidy(self._looked(after))
        moving = (*after.values(), *filter(None, states.values()))  # one that has ended says next what blocks it
        if not is_left and not any(state.is_under_way for state in moving):
            return None
        return began + self._settings.release_every / (SOONER if self._has_young(after.values()) else 1.0)

    def _has_young(self, states: Iterable[ReleaseState]) -> bool:
        """Tell whether a step has begun a short while ago, whose version has requests."""
        now = self._clock.utc().timestamp()
        return any(one.begun and one.is_under_way and now - one.since < YOUNG for one in states)

    async def _hurry(self, models: dict[ModelPlace, Manifest], states: dict[ModelPlace, ReleaseState | None]) -> None:
        """Write what follows from what operators ask for, and from documents, before anything is read."""
        asked = {place: state for place, state in states.items() if _is_asked(self._targets[place], state)}
        found = self._decided(asked, {})
        await self._write(models, {place: state for place, (_, state) in found.items()})
        for place in found:
            if (live := self._model(place)) is not None:
                models[place], states[place] = live, state_of(rollout_in(live))

    def _decided(
        self, states: Mapping[ModelPlace, ReleaseState | None], read: Mapping[ModelPlace, ReleaseReadings]
    ) -> dict[ModelPlace, tuple[ReleaseDecision, ReleaseState]]:
        now = self._clock.utc().timestamp()

        def decided(place: ModelPlace) -> tuple[ReleaseDecision, ReleaseState]:
            return self._decide(self._targets[place], states[place], read.get(place, ReleaseReadings()), now)

        return each("releases", states, decided)

    async def _read(self, states: Mapping[ModelPlace, ReleaseState | None]) -> Mapping[ModelPlace, ReleaseReadings]:
        """Return what is known of all releases that are under way: of their requests, and what others say of them."""
        counted, said = await asyncio.gather(self._counted(states), self._externals.read(self._looked(states)))
        return {
            place: replace(read, readings={**read.readings, **said.get(place, {})}) for place, read in counted.items()
        }

    def _looked(
        self, states: Mapping[ModelPlace, ReleaseState | None]
    ) -> list[tuple[ReleaseTarget, ReleaseState | None]]:
        return [(self._targets[place], state) for place, state in states.items() if place in self._targets]

    async def _counted(self, states: Mapping[ModelPlace, ReleaseState | None]) -> Mapping[ModelPlace, ReleaseReadings]:
        """Return what is known of the requests of all releases that are under way. Gateway pods are asked of one that
        is paused or waits too: its figures are shown, and what they add up to counts when it goes on."""
        found = [(self._targets[place], state) for place, state in states.items() if state and state.is_under_way]
        asked = [_question(target, state) for target, state in found]
        if not asked:
            return {}
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._source.read(asked)
        except TimeoutError:
            late = ReleaseReadings(flaw=f"no answer within {PATIENCE:g} s; look at the collectors and at Prometheus")
            return dict.fromkeys((one.place for one in asked), late)

    def preview(self, place: ModelPlace, action: ReleaseAction) -> Manifest | None:
        """Return what the status would say if an operator asked for something now; None for a model without a rollout
        that is served. Without the requests since the last look: what goes by evidence may come out otherwise."""
        target, live = self._targets.get(place), self._model(place)
        if target is None or live is None:
            return None
        now = self._clock.utc().timestamp()
        asked = replace(target, action=action)
        _, state = self._decide(asked, state_of(rollout_in(live)), ReleaseReadings(), now)
        return status_of(state, target.rules)

    def _model(self, place: ModelPlace) -> Manifest | None:
        return self._store.get(ObjectKey("Model", *place))

    def _decide(
        self, target: ReleaseTarget, state: ReleaseState | None, read: ReleaseReadings, now: float
    ) -> tuple[ReleaseDecision, ReleaseState]:
        permission = step_permission(target.times, state, read.load, datetime.fromtimestamp(now, UTC))
        seen = ReleaseObservation(
            at=now,
            wanted=target.wanted,
            live=target.live,
            versions=target.versions,
            statistics=read.statistics,
            counts=read.counts,
            readings=read.readings,
            action=target.action,
            may_progress=not permission.hindrance,
            hindrance=permission.hindrance,
            is_window_over=permission.is_over,
            record=target.record,
        )
        decision, after = decide(target.rules, state, seen)
        if state is not None and after.started == state.started:
            after = replace(after, window=permission.window)
        if read.flaw and after.reason is ReleaseReason.STATISTICS_MISSING:
            after = replace(after, message=f"{after.message.rstrip('.')}: {read.flaw}.")
        return decision, after

    async def _write(self, models: Mapping[ModelPlace, Manifest], states: Mapping[ModelPlace, ReleaseState]) -> None:
        """Write the states that differ from their statuses; figures alone only now and then."""
        now = self._clock.now()
        due = {}
        for place, state in states.items():
            wanted = status_of(state, self._targets[place].rules)
            before = rollout_in(models[place])
            is_late = now - self._shown.get(place, -SHOWN_AGAIN) >= SHOWN_AGAIN
            if wanted != before and (is_late or _steady(wanted) != _steady(before)):
                due[place] = partial(self._put, place, models[place], wanted)
        await self._lane.run(due, group=lambda place: place.namespace)
        self._shown = {place: at for place, at in self._shown.items() if place in self._targets}

    async def _put(self, place: ModelPlace, live: Manifest, wanted: Manifest) -> None:
        before = rollout_in(live) or {}
        patch = {"status": {"rollout": patch_between(before, wanted)}}
        key = ObjectKey("Model", *place)
        try:
            answer = await write_over(
                self._client, live, lambda base: self._client.merge(key, pinned(patch, base), "status"), _is_same
            )
        except Absent:
            return
        self._store.put(answer)
        self._shown[place] = self._clock.now()
        if before.get("phase") != wanted["phase"] and wanted["phase"] in ENDED and before:
            RELEASES.labels("promoted" if wanted["phase"] == ReleasePhase.DONE else "aborted").inc()
        shown = ("phase", "weight", "mirror")
        if any(before.get(name) != wanted[name] for name in shown):
            self._events.publish("release", f"{place.namespace}/{place.name}", wanted["message"], kind="Model")


def _count(states: Mapping[ModelPlace, ReleaseState]) -> None:
    """Export how far releases have come, and what they wait for."""
    for gauge in (RELEASE_WEIGHT, RELEASE_BLOCKED, RELEASE_WAITING):
        gauge.clear()
    for place, state in states.items():
        for blocked in state.blocked:
            RELEASE_BLOCKED.labels(*place, blocked.version).set(1)
        if state.is_under_way:
            for version, weight in state.weights.items():
                RELEASE_WEIGHT.labels(*place, version).set(weight)
        if state.phase in WAITING or state.reason in WAITS_FOR:
            RELEASE_WAITING.labels(*place, str(state.reason)).set(1)


def _is_asked(target: ReleaseTarget, state: ReleaseState | None) -> bool:
    """Tell whether an operator asks for something, or the document for another version, that was not looked at yet. A
    release that begins so is looked at for the first time before its version has requests."""
    if state is None:
        return True
    is_handled = target.action is None or target.action.id == state.handled
    goes_by = state.version if state.is_under_way else state.stable
    return not is_handled or (target.wanted != goes_by and state.block(target.wanted) is None)


def _question(target: ReleaseTarget, state: ReleaseState) -> ReleaseQuestion:
    versions = (state.stable, state.version)
    counted = CountQuestion(target.place, *versions, state.since, target.gateways, target.ports, state.started)
    return ReleaseQuestion(
        target.place,
        target.tenant,
        state.stable,
        state.version,
        state.since,
        target.queries,
        target.silent,
        by_load=target.times.quiet is not None,
        counted=counted,
        mirrors=bool(state.mirror and not state.weight),
    )


def _floors(decisions: Mapping[ModelPlace, ReleaseDecision]) -> dict[VersionKey, int]:
    return {
        VersionKey(*place, version): count
        for place, decision in decisions.items()
        for version, count in decision.least_replicas.items()
    }


def _steady(found: Manifest | None) -> Manifest:
    """Return what of a release moves only when something happens: of its checks those that have decided for good, and
    readings in a row out of bounds, which the next look counts on."""
    moving = ("message", "checks", "since")
    checks = [check for check in (found or {}).get("checks") or () if isinstance(check, dict)]
    final = [check for check in checks if check.get("final")]
    failures = [(check.get("name"), min(IN_A_ROW, count)) for check in checks if (count := _failures(check))]
    return {
        "final": final,
        "failures": failures,
        **{name: value for name, value in (found or {}).items() if name not in moving},
    }


def _failures(check: Manifest) -> int:
    """Return how many readings in a row were out of bounds; 0 where others have written something else there."""
    found = check.get("failures")
    return found if isinstance(found, int) else 0


def _is_same(one: Manifest, other: Manifest) -> bool:
    """Tell whether a decision holds for both states of a Model."""
    return _decided_on(one) == _decided_on(other)


def _decided_on(model: Manifest) -> tuple[object, ...]:
    metadata = model["metadata"]
    return rollout_in(model), metadata.get("generation"), (metadata.get("annotations") or {}).get(names.RELEASE)
