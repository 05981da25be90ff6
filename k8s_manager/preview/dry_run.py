"""Dry run of a write: what it would change, the API server's answer, and whether that is still so."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from istio_templates.documents import Document
from istio_templates.documents.versions.chosen_version import with_chosen
from istio_templates.errors import Outdated, TidegateError
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import DIGEST, RELEASED
from k8s_manager.admission.rules.warmup_rules import PlanChecks
from k8s_manager.drift.handover import given_up, with_fields
from k8s_manager.drift.repair import resolve_drift
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.base_version import read_live
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.merge_patch import merged_patch
from k8s_manager.kube.resources import ISTIO
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.figures import FigureTracker, TemplateDigests, template_digests
from k8s_manager.pipeline.model_plan import identity_of
from k8s_manager.preview.forecast import ForecastShift, LimitForecaster, PlannedState
from k8s_manager.preview.preview import (
    ObjectChange,
    Preview,
    RenderedWorld,
    fingerprint,
    preview_deletion,
    preview_writes,
)
from k8s_manager.preview.release_notes import release_notes
from k8s_manager.preview.report import report
from k8s_manager.runtime.work.work_queue import WorkQueue
from k8s_manager.traffic.resolver import TrafficResolver, in_release
from k8s_manager.world.world import Stored, World

AT_ONCE = 4
MOST_SAID = 2000
"""Most characters of the API server's answer for an object."""
_BOOKKEEPING = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
_NO_UID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class DryRun:
    """A preview of a change to `subject`, and what it makes of limits."""

    subject: str
    preview: Preview
    shifts: tuple[ForecastShift, ...]


class DryRunner:
    """Previews writes and deletions, without writing anything."""

    def __init__(
        self,
        client: KubeClient,
        store: Store,
        gatherer: WorldReader,
        traffic: TrafficResolver,
        plans: PlanChecks,
        figures: FigureTracker,
        forecaster: LimitForecaster,
        work: WorkQueue,
    ) -> None:
        self._work = work
        self._client, self._store, self._gatherer = client, store, gatherer
        self._traffic, self._plans = traffic, plans
        self._figures, self._forecaster = figures, forecaster

    async def preview_writes(self, *writes: tuple[Document, Manifest]) -> DryRun:
        """Return what writing documents, each with the body that it came in, would do now."""
        now = datetime.now(UTC)
        world = self._traffic.resolve(self._gatherer.world(), now)
        ungated = world.ungated.union(*(self._gatherer.pods.ungated(document) for document, _ in writes))
        written = [_stored(document, body, self._live(document)) for document, body in writes]
        proposed = [in_release(stored, world) if stored.key.kind == "Model" else stored for stored in written]
        owned, plans = dict(self._store.owned), self._plans.copy()
        made = partial(preview_writes, replace(world, ungated=ungated), proposed, owned, plans, now)
        found = await self._with_foreign(await self._work.run(made))
        found = replace(found, notes=(*found.notes, *release_notes(written, proposed)))
        subject = ", ".join(str(document) for document, _ in writes)
        return DryRun(subject, found, await self._shifts(found, owned, plans))

    async def preview_deletion(self, deleted: Sequence[ObjectKey]) -> DryRun:
        """Return what deleting documents would do now; the last is the one that the caller named."""
        now = datetime.now(UTC)
        world = self._traffic.resolve(self._gatherer.world(), now)
        live = _document(world, deleted[-1])
        owned, plans = dict(self._store.owned), self._plans.copy()
        found = await self._work.run(partial(preview_deletion, world, deleted, live, owned, plans, now))
        return DryRun(str(deleted[-1]), found, await self._shifts(found, owned, plans))

    async def require_unchanged(self, run: DryRun, planned: str) -> None:
        """Make sure that a write still does what was planned under a fingerprint; raises `Outdated`."""
        if await self._work.run(partial(fingerprint, run.preview)) != planned:
            raise Outdated(f"{run.subject}: the plan is outdated; plan the write again and review the differences")

    async def report(self, run: DryRun, staying: Collection[ObjectKey] = ()) -> Manifest:
        """Return a plan for people and programs, with the API server's answer for each object; what a deletion leaves
        where it is (`staying`) is no change."""
        places = asyncio.Semaphore(AT_ONCE)

        async def tried(change: ObjectChange) -> tuple[ObjectChange, str]:
            async with places:
                return await self._tried(change, run.preview)

        shown = [change for change in run.preview.changes if change.key not in staying]
        found = await asyncio.gather(*map(tried, shown))
        changes = [change for change, _ in found]
        out = await self._work.run(partial(report, run.preview, changes, run.shifts))
        for line, (_, server) in zip(out["changes"], found, strict=True):
            line["server"] = server[:MOST_SAID]
        return out

    async def _with_foreign(self, found: Preview) -> Preview:
        """Return a preview with the objects that are adopted as they are now."""
        keys = [key for key in found.adoptable() if key not in self._store.owned]
        places = asyncio.Semaphore(AT_ONCE)

        async def one(key: ObjectKey) -> Manifest | None:
            async with places:
                return await read_live(self._client, key)

        seen = await asyncio.gather(*map(one, keys))
        foreign = {key: live for key, live in zip(keys, seen, strict=True) if live is not None}
        return replace(found, foreign=foreign)

    async def _tried(self, change: ObjectChange, found: Preview) -> tuple[ObjectChange, str]:
        """Return a change between the live object and what the API server would make of it, and the server's answer."""
        key, after = change.key, change.after
        if after is None or change.wanted is None:
            return change, "not checked: the object is deleted"
        if key.namespace and not self._store.get(ObjectKey("Namespace", "", key.namespace)):
            return change, "not checked: its namespace does not exist yet"
        try:
            live, first, surplus = await read_live(self._client, key), key not in self._store.owned, {}
            if live is not None:
                resolution = resolve_drift(live, change.wanted, found.policy(after), first, drifted=False)
                after, surplus = resolution.obj, resolution.surplus
            # As it would be written: never by force over an object of another owner.
            answer = await self._client.apply(after, force=not first, dry_run=True)
        except TidegateError as error:
            return change, f"rejected: {error}"
        if live is None:
            return change, "accepted"
        fields = given_up(live, change.wanted)
        then = with_fields(merged_patch(answer, surplus) if key.kind in ISTIO else answer, fields)
        said = "; ".join(
            f"gives up {'.'.join(path)}: it stays {value} until its new owner changes it"
            for path, value in fields.items()
        )
        done = ObjectChange(key, _bare(live), _bare(then), change.wanted, key in found.foreign)
        return done, f"accepted; {said}" if said else "accepted"

    def _live(self, document: Document) -> Manifest | None:
        return self._store.get(document.key)

    async def _shifts(
        self, found: Preview, owned: Mapping[ObjectKey, Manifest], plans: PlanChecks
    ) -> tuple[ForecastShift, ...]:
        """Return the limits before and after, with the replicas that are warm now."""
        if found.states is None:
            return ()
        now, then = found.states
        documents = (change.proposed or change.live for change in found.documents)
        written = [stored for stored in documents if stored]
        about = {identity_of(stored) for stored in written if stored.key.kind == "Model"}
        about |= {key for stored in written for key in then.plan.override_matches.get(stored.key, ())}
        states = await self._work.run(lambda: [_Digested.of(state) for state in (now, _served(then, owned, plans))])
        before, after = map(self._planned, states)
        return self._forecaster.shifts(before, after, frozenset(about))

    def _planned(self, digested: "_Digested") -> PlannedState:
        state = digested.state
        owned = self._store.owned
        figures = self._figures.foresee(state.plan, state.desired, state.world, owned, digested.templates)
        return PlannedState(state.plan, figures)


@dataclass(frozen=True, slots=True)
class _Digested:
    """A world as it is rendered, with the digests of its pod templates."""

    state: RenderedWorld
    templates: TemplateDigests

    @classmethod
    def of(cls, state: RenderedWorld) -> "_Digested":
        return cls(state, template_digests(state.desired))


def _served(then: RenderedWorld, owned: Mapping[ObjectKey, Manifest], plans: PlanChecks) -> RenderedWorld:
    """Return what holds at first: requests stay where they are until the versions that come are warm."""
    world = TrafficResolver(0.0).resolve(then.world, datetime.now(UTC))
    world = replace(world, bindings=then.world.bindings)
    return then if world.models == then.world.models else RenderedWorld.of(world, plans, owned)


def _document(world: World, key: ObjectKey) -> Stored | None:
    return next((stored for stored in world.documents() if stored.key == key), None)


def _bare(live: Manifest) -> Manifest:
    """Return a live object without the fields that only the API server or the manager writes for itself."""
    metadata = {name: value for name, value in live["metadata"].items() if name not in _BOOKKEEPING}
    annotations = {name: text for name, text in metadata.pop("annotations", {}).items() if name != DIGEST}
    metadata |= {"annotations": annotations} if annotations else {}
    return {name: value for name, value in live.items() if name != "status"} | {"metadata": metadata}


def _stored(document: Document, body: Manifest, live: Manifest | None) -> Stored:
    metadata = live["metadata"] if live else {}
    given = body.get("metadata") or {}
    return Stored(
        key=document.key,
        uid=metadata.get("uid", _NO_UID),
        generation=metadata.get("generation", 0) + 1,
        created=metadata.get("creationTimestamp", "9999"),
        deleting=False,
        finalizer=True,
        document=with_chosen(document, (live or {}).get("status") or {}),
        written=document,
        problems=(),
        status=(live or {}).get("status") or {},
        labels=given.get("labels") or metadata.get("labels") or {},
        release_record=_recorded(given) or _recorded(metadata),
    )


def _recorded(metadata: Manifest) -> str:
    """Return the record of a release in the annotations of a Model."""
    annotations = metadata.get("annotations")
    found = annotations.get(RELEASED) if isinstance(annotations, dict) else None
    return found if isinstance(found, str) else ""
