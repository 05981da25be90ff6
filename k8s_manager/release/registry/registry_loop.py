"""The registry loop: reads the registered models of all Models with a registry, one after the other, twice a minute.

It writes ModelVersions, through the leader's fence, and nothing into the registry. What it remembers is how the last
look went; the mark of what was looked at stands in `status.registry` of the Model, for the next leader.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.base_version import pinned
from k8s_manager.kube.errors import Fenced
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.plan import Plan
from k8s_manager.release.registry.mlflow_server import RegistryServer
from k8s_manager.release.registry.registry_answer import (
    LeftOut,
    RegisteredModelAbsent,
    RegisteredVersion,
    RegistryListing,
    RegistryUnavailable,
)
from k8s_manager.release.registry.registry_status import RegistryReason, RegistryView, mark_in, reason_of
from k8s_manager.release.registry.version_content import evaluations_of
from k8s_manager.release.registry.version_documents import RegistryRound, RegistryTarget, new_document, round_of
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import Cadence, control_loop
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.metrics import REGISTRY_LAST_READ, REGISTRY_MODELS, REGISTRY_READS
from k8s_manager.runtime.settings import MlflowSettings, Settings
from k8s_manager.world.world import World

AWAY = 300.0
"""The longest pause while the server does not answer, in seconds."""
SOON = 1.0
"""Seconds until the next round of a model of which more versions wait."""
AGAIN = 2.0
"""Seconds after which a round is made again that could not be written, at first."""
QUIET = Cadence(0.1, 0.5)
MOST_FLAWS = 1000
"""Remembered reasons of a model about metrics, which are read once."""


class RegistryLoop:
    """Registers what MLflow has; without a server it says so."""

    def __init__(
        self,
        client: FencedClient,
        store: Store,
        server: RegistryServer | None,
        clock: Clock,
        settings: Settings,
        events: Events,
        changed: asyncio.Event,
    ) -> None:
        self._client, self._store, self._server = client, store, server
        self._clock, self._events, self._changed = clock, events, changed
        self._settings = settings.mlflow or MlflowSettings("")
        self._every = self._settings.every
        self._away = Backoff(self._every / 2, AWAY)
        self._again = Backoff(min(AGAIN, self._every), self._every)
        self._unwritten: dict[ModelPlace, int] = {}
        self._effects = Effects(clock, asyncio.Event())
        self._targets: dict[ModelPlace, RegistryTarget] = {}
        self._refused: set[ModelPlace] = set()
        self._views: dict[ModelPlace, RegistryView] = {}
        self._due: dict[ModelPlace, float] = {}
        self._flaws: dict[ModelPlace, list[LeftOut]] = {}
        self._failures, self._away_until = 0, 0.0

    def follow(self, world: World, plan: Plan) -> None:
        """Take over what the documents say; a model that is new or changed is read now."""
        found = _targets(world, plan)
        self._refused = {place for place, one in found.items() if not self._is_allowed(one, plan)}
        before, self._targets = self._targets, {k: one for k, one in found.items() if k not in self._refused}
        REGISTRY_MODELS.set(len(self._targets))
        for place in before.keys() | self._targets.keys():
            if before.get(place) != self._targets.get(place):
                for known in (self._views, self._due, self._flaws, self._unwritten):
                    known.pop(place, None)
                self._effects.wake.set()

    def view(self, place: ModelPlace, name: str) -> RegistryView:
        """Return how it is with the registered model of a Model."""
        if self._server is None:
            return RegistryView(name, RegistryReason.NOT_CONFIGURED)
        if place in self._refused:
            return RegistryView(name, RegistryReason.NOT_ALLOWED, f"--mlflow-names {self._settings.names}")
        found = self._views.get(place)
        return found if found is not None and found.name == name else RegistryView(name)

    def _is_allowed(self, target: RegistryTarget, plan: Plan) -> bool:
        served = plan.models.get((target.namespace, target.model))
        return served is not None and self._settings.allows(served.tenant.name, target.name)

    async def run(self, leads: bool = True) -> None:
        """Read again and again until cancelled; only a leader does."""
        if not leads or self._server is None:
            return
        self._effects.wake.set()
        try:
            await control_loop("registries", self.once, self._effects, QUIET, self._clock)
        finally:
            await self._server.close()

    async def once(self) -> float | None:
        """Read the models that are due, one after the other; return when the next is."""
        if self._clock.now() < self._away_until and self._failures:
            return self._away_until
        for place in sorted(self._targets, key=lambda place: self._due.get(place, 0.0)):
            target = self._targets.get(place)
            if target is None or self._clock.now() < self._due.get(place, 0.0):
                continue
            try:
                await self._look(place, target)
            except RegistryUnavailable as error:
                return self._go_away(error)
        return min((self._due.get(place, 0.0) for place in self._targets), default=None)

    async def _look(self, place: ModelPlace, target: RegistryTarget) -> None:
        """Read one model and register what is new; raises `RegistryUnavailable` where no model can be read."""
        pause = self._every
        try:
            pause = SOON if await self._round(place, target) else self._every
            self._unwritten.pop(place, None)
            self._note("success")
        except (RegistryUnavailable, Fenced):
            raise
        except TidegateError as error:
            is_ours = not isinstance(error, RegisteredModelAbsent) and reason_of(error) is RegistryReason.UNAVAILABLE
            self._note("not written" if is_ours else "failure")
            self._fail(place, target, RegistryReason.NOT_WRITTEN if is_ours else reason_of(error), error)
            if is_ours:
                self._unwritten[place] = self._unwritten.get(place, 0) + 1
                pause = self._again.pause(self._unwritten[place], error)
        self._failures, self._due[place] = 0, self._clock.now() + pause

    async def _round(self, place: ModelPlace, target: RegistryTarget) -> bool:
        """Do what one look asks for; tell whether more waits for the next."""
        assert self._server is not None
        listing = await self._server.listing(target.name)
        found = round_of(target, listing, self._registered(target), self._mark(place, target))
        read = [(version, await self._evaluations(place, version)) for version in found.new]
        for before, after in found.changed:
            self._store.put(await self._client.replace(pinned(after, before)))
        for version, evaluations in read:
            await self._make(target, listing, version, evaluations)
        self._show(place, self._view(place, target, found))
        return found.is_more

    async def _make(
        self, target: RegistryTarget, listing: RegistryListing, version: RegisteredVersion, found: Sequence[Manifest]
    ) -> None:
        self._store.put(await self._client.create(new_document(target, version, listing, found)))
        said = f"version {version.name} was read from registered model {target.name} in MLflow"
        self._events.publish("registered", f"{target.namespace}/{target.model}", said, kind="Model")

    async def _evaluations(self, place: ModelPlace, version: RegisteredVersion) -> list[Manifest]:
        """Return what the run of a version says of it; what does not count is remembered."""
        assert self._server is not None
        if not version.run:
            return []
        try:
            found, flaws = evaluations_of(await self._server.metrics(version.run))
        except RegistryUnavailable:
            raise
        except TidegateError as error:
            found, flaws = [], [f"has a run that cannot be read ({error})"]
        known = self._flaws.setdefault(place, [])
        known += [LeftOut(version.name, why) for why in flaws[: MOST_FLAWS - len(known)]]
        return found

    def _view(self, place: ModelPlace, target: RegistryTarget, found: RegistryRound) -> RegistryView:
        left_out = (*found.left_out, *self._flaws.get(place, ()))
        return RegistryView(
            name=target.name,
            reason=RegistryReason.SOME_LEFT_OUT if left_out else RegistryReason.READ,
            left_out=left_out,
            read_up_to=found.mark,
            deleted=found.deleted,
            last=self._clock.utc(),
        )

    def _mark(self, place: ModelPlace, target: RegistryTarget) -> int:
        """Return up to which version the registered model was looked at, by this manager or one before."""
        known = self._views.get(place)
        live = self._store.get(ObjectKey("Model", *place)) or {}
        return max(known.read_up_to if known else 0, mark_in(live.get("status") or {}, target.name))

    def _registered(self, target: RegistryTarget) -> list[Manifest]:
        """Return the ModelVersions of a model."""
        found = self._store.inside("ModelVersion", target.namespace)
        return [one for one in found if (one.get("spec") or {}).get("model") == target.model]

    def _fail(self, place: ModelPlace, target: RegistryTarget, reason: RegistryReason, error: TidegateError) -> None:
        before = self._views.get(place, RegistryView(target.name))
        self._show(place, replace(before, reason=reason, why=_brief(error)))

    def _go_away(self, error: RegistryUnavailable) -> float:
        """Note of all models that the server cannot be read; return when it is tried again."""
        self._note("failure")
        self._failures += 1
        for place, target in self._targets.items():
            self._fail(place, target, RegistryReason.UNAVAILABLE, error)
        self._away_until = self._clock.now() + self._away.after(self._failures)
        return self._away_until

    def _show(self, place: ModelPlace, view: RegistryView) -> None:
        before, self._views[place] = self._views.get(place), view
        if before != view:
            self._changed.set()

    def _note(self, result: str) -> None:
        REGISTRY_READS.labels(result).inc()
        if result != "failure":
            REGISTRY_LAST_READ.set(self._clock.utc().timestamp())


def _targets(world: World, plan: Plan) -> dict[ModelPlace, RegistryTarget]:
    found = {}
    for stored in world.models:
        selection = stored.spec.selection if stored.spec and not stored.deleting else None
        if selection is None or selection.registry is None or not plan.admission[stored.key].accepted:
            continue
        place = ModelPlace(stored.key.namespace, stored.key.name)
        found[place] = RegistryTarget(*place, selection.registry.name, selection.alias)
    return found


def _brief(error: TidegateError) -> str:
    return str(error)[:300]
