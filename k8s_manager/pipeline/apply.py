"""apply: carry out changes in order, side by side within a stage, each failure with its owner.

A `Target` takes changes and says what became of each; the cluster is one, a Git tree (`gitops.target`) another.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Protocol

from istio_templates import names
from istio_templates.catalog import ORDER, stage
from istio_templates.errors import Stalled, TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.deletion_guard import DeletionGuard
from k8s_manager.drift.digest import digest_of
from k8s_manager.drift.field_policy import writers_of
from k8s_manager.drift.handover import HANDOVER, given_up, handover, may_hand_over
from k8s_manager.drift.provenance import SHARED, belongs, is_foreign, is_made_by_us
from k8s_manager.drift.repair import Repair, RepairLimiter, read_live, repair_of, resolve_drift
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, ForeignObject, Refused
from k8s_manager.kube.resources import DOCUMENTS, ISTIO, RESOURCES, selector_of
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.changes import Changes, Write
from k8s_manager.pipeline.ordering import ahead_of_pods, gateways_in_use
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.metrics import APPLIED
from k8s_manager.world.condition import Condition
from k8s_manager.world.owner import Owner, owner_of
from k8s_manager.world.world import World

log = logging.getLogger(__name__)
BACKOFF = Backoff(0.5, 60.0)
PODS = ORDER.index("Deployment")
_NO_DRY_RUN = "does not support dry run"  # what an API server says of a webhook that it then does not ask
_FOREIGN = (
    "Model", "Pod", "Service", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "PersistentVolumeClaim",
    "ConfigMap", "Secret", "ServiceAccount", "Ingress", "Role", "RoleBinding", "HorizontalPodAutoscaler",
    "PodDisruptionBudget", "NetworkPolicy", "Gateway", "VirtualService", "DestinationRule", "EnvoyFilter",
)  # fmt: skip
_IN_EVERY_NAMESPACE = ("kube-root-ca.crt", "istio-ca-root-cert", "istio-ca-crl", "default")


@dataclass(frozen=True, slots=True)
class Failure:
    """A write that did not arrive: why, how often, and when it is retried."""

    error: TidegateError
    owner: Owner
    attempts: int
    again_at: float


@dataclass(slots=True)
class Results:
    """What became of the changes: how many arrived, what stands out by object, what waits until when since it is
    changed too often, who else had written; and whose objects somebody else has to write first, with what is said of
    that."""

    written: int = 0
    failures: dict[ObjectKey, Failure] = field(default_factory=dict)
    put_off: dict[ObjectKey, float] = field(default_factory=dict)
    repaired: dict[ObjectKey, Repair] = field(default_factory=dict)
    behind: dict[Owner, Condition] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Basis:
    """What changes were made from, and when."""

    now: datetime
    world: World
    plan: Plan


class ApplyTarget(Protocol):
    """Where objects go."""

    async def apply(self, changes: Changes, basis: Basis) -> Results:
        """Carry out what can be carried out, and say what could not."""


class ClusterTarget:
    """The cluster, by server-side apply. What fails is left alone for a growing while."""

    def __init__(self, client: KubeClient, store: Store, clock: Clock, in_flight: int) -> None:
        self._client, self._store, self._clock = client, store, clock
        self._places = asyncio.Semaphore(in_flight)
        self._repairs = RepairLimiter(clock)
        self._failures: dict[ObjectKey, Failure] = {}
        self._written: set[ObjectKey] = set()

    async def apply(self, changes: Changes, basis: Basis) -> Results:
        """Make stage by stage, then delete in the reverse order; a failure stops its owner's later stages."""
        results = Results()
        objects = [*(write.obj for write in changes.writes), *changes.deletes, *changes.awaited]
        wanted = {names.key_of(obj) for obj in objects}
        self._failures = {key: failure for key, failure in self._failures.items() if key in wanted}
        for number, group in groupby(changes.writes, key=lambda write: stage(write.obj)):
            if number == PODS:
                await self._together(self._try(obj) for obj in ahead_of_pods(changes))
            stopped = {failure.owner for failure in self._failures.values()}
            await self._together(self._write(write, stopped, results) for write in group)
        in_use = gateways_in_use(changes.deletes, self._unwritten(changes, results))
        for key in in_use:  # tried when the rest is written; no retry of its own until then
            self._failures.pop(key, None)
        deletes = [obj for obj in changes.deletes if names.key_of(obj) not in in_use]
        guard = DeletionGuard(self._client, basis.world.documents(), self._store.put)
        for _, group_of_deletes in groupby(deletes, key=stage):
            await self._together(self._delete(obj, guard, results) for obj in group_of_deletes)
        results.failures = dict(self._failures)
        return results

    async def _try(self, obj: Manifest) -> None:
        """Ask the API server whether it takes an object that is written later; note its refusal as a failure."""
        key, owner = names.key_of(obj), owner_of(obj["metadata"]["labels"])
        if key in self._failures and not self._is_due(key):
            return
        async with self._places:
            try:
                await self._client.apply(obj, force=True, dry_run=True)
            except Refused as error:
                if _NO_DRY_RUN not in str(error):
                    live = await read_live(self._client, key)
                    foreign = ForeignObject(key, writers_of(live)) if live and is_foreign(live, obj) else None
                    self._fail(key, owner, foreign or error, "try")
            except TidegateError:
                log.debug("%s cannot be tried now; it is written in its turn", key)
            else:
                self._failures.pop(key, None)

    def _unwritten(self, changes: Changes, results: Results) -> set[str]:
        """Return the tenants of which something was not written."""
        behind = self._failures.keys() | results.put_off.keys()
        owners = (
            owner_of(write.obj["metadata"]["labels"]) for write in changes.writes if names.key_of(write.obj) in behind
        )
        return {owner[1] for owner in owners} - {""}

    async def _together(self, calls: Iterable[object]) -> None:
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(call)  # type: ignore[arg-type]

    async def _write(self, write: Write, stopped: set[Owner], results: Results) -> None:
        key, owner = names.key_of(write.obj), owner_of(write.obj["metadata"]["labels"])
        if owner in stopped and not self._is_due(key):
            return
        if write.first and key.kind == "EnvoyFilter" and self._store.get(key) is not None:
            return  # made meanwhile: a slot, by the limit loop, which is not to be emptied again
        if self._is_repair(write) and key not in self._failures and (pause := self._repairs.take(key, owner)):
            results.put_off[key] = self._clock.now() + pause
            return
        async with self._places:
            try:
                await self._put(write, results)
            except TidegateError as error:
                self._fail(key, owner, error, "apply")
            except Exception as error:  # one object that nobody foresaw must not stop all the others
                log.exception("%s cannot be written", key)
                self._fail(key, owner, Stalled(f"apply {key}: {error!r}; look at the object and mend it"), "apply")
            else:
                self._succeed(key, "apply", results)

    def _is_repair(self, write: Write) -> bool:
        """Tell whether a write sets back what others have changed in an object that Tidegate wrote before.

        What others prepared with our labels, such as a thousand namespaces, is written for the first time: at no pace.
        """
        key = names.key_of(write.obj)
        live = self._store.owned.get(key)
        return write.drifted and (key in self._written or (live is not None and digest_of(live) is not None))

    async def _put(self, write: Write, results: Results) -> None:
        key, obj, surplus, repair = names.key_of(write.obj), write.obj, {}, None
        unseen = self._is_unseen(key)
        if not unseen and (write.drifted or write.policy != "repair" or self._is_strange(write) or may_hand_over(obj)):
            live = await read_live(self._client, key)
            if live is not None:
                settled = resolve_drift(live, obj, write.policy, write.first, write.drifted)
                if fields := given_up(live, obj):
                    await self._client.apply(handover(live, fields), force=True, manager=HANDOVER)
                if write.drifted or write.first:
                    owner = owner_of(obj["metadata"]["labels"])
                    fought = self._repairs.is_fought(key)
                    repair = repair_of(settled, live, owner, write.policy, write.first, fought)
                obj, surplus = settled.obj, {} if write.first else settled.surplus
        if unseen:
            answer = await self._make(obj)
        elif surplus:
            answer = await self._exchange(key, surplus, obj)
        else:
            answer = await self._client.apply(obj, force=not write.first)
        self._store.put(answer)
        self._written.add(key)
        if repair:
            results.repaired[key] = repair

    def _is_strange(self, write: Write) -> bool:
        """Tell whether what is there may be another writer's or another document's."""
        known = self._store.owned.get(names.key_of(write.obj))
        return write.first or known is None or not belongs(known, write.obj)

    def _is_unseen(self, key: ObjectKey) -> bool:
        """Tell whether an object of a kind that is watched whole is not there."""
        return selector_of(key.kind) == "" and self._store.get(key) is None

    async def _make(self, obj: Manifest) -> Manifest:
        """Make an object; where another writer was faster than our watch, leave it as that one made it."""
        made = await self._client.apply(obj, force=False)
        if made["kind"] not in SHARED and (others := writers_of(made)):
            await self._give_up(obj)
            raise ForeignObject(names.key_of(obj), others)
        return made

    async def _exchange(self, key: ObjectKey, surplus: Manifest, obj: Manifest) -> Manifest:
        """Take away what others have added, and write what is ours; where nothing would be left in between, the other
        way round."""
        patch = self._client.merge if key.kind in (*ISTIO, *DOCUMENTS) else self._client.strategic
        try:
            await patch(key, surplus)
        except Refused:
            await self._client.apply(obj, force=True)
            return await patch(key, surplus)
        return await self._client.apply(obj, force=True)

    async def _delete(self, obj: Manifest, guard: DeletionGuard, results: Results) -> None:
        key, owner = names.key_of(obj), owner_of(obj["metadata"].get("labels", {}))
        if key in self._failures and not self._is_due(key):
            return
        async with self._places:
            try:
                await guard.require_current(obj)
                await self._take_away(key, obj)
            except Absent:
                self._store.drop(obj)
            except TidegateError as error:
                self._fail(key, owner, error, "delete")
                return
            self._succeed(key, "delete", results)

    async def _take_away(self, key: ObjectKey, obj: Manifest) -> None:
        """Delete an object that we made; give up one that others made or live in."""
        if key.kind == "Namespace" and await self._has_others(key.name):
            self._store.put(await self._unmark(await self._give_up(obj)))
            return
        if key.kind not in SHARED and not is_made_by_us(live := await self._client.get(key)):
            log.warning("%s carries our labels but was made by others: it stays, without them", key)
            self._store.put(await self._unmark(live))
            return
        await self._client.delete(key, obj["metadata"]["uid"])
        self._written.discard(key)
        self._store.leave(obj)

    async def _give_up(self, obj: Manifest) -> Manifest:
        """Take what is ours off an object that stays, but for what a tool has applied the same."""
        key = names.key_of(obj)
        return await self._client.apply(
            names.manifest(obj["apiVersion"], key.kind, key.name, key.namespace, {}), force=True
        )

    async def _unmark(self, live: Manifest) -> Manifest:
        """Take our labels off an object."""
        ours = [label for label in live["metadata"].get("labels") or {} if names.is_ours(label)]
        if not ours:
            return live
        return await self._client.merge(names.key_of(live), {"metadata": {"labels": dict.fromkeys(ours)}})

    def _is_due(self, key: ObjectKey) -> bool:
        failure = self._failures.get(key)
        return failure is not None and failure.again_at <= self._clock.now()

    def _succeed(self, key: ObjectKey, operation: str, results: Results) -> None:
        self._failures.pop(key, None)
        results.written += 1
        APPLIED.labels(key.kind, operation, "success").inc()

    def _fail(self, key: ObjectKey, owner: Owner, error: TidegateError, operation: str) -> None:
        before = self._failures.get(key)
        attempts = before.attempts + 1 if before else 1
        self._failures[key] = Failure(error, owner, attempts, self._clock.now() + BACKOFF.after(attempts))
        APPLIED.labels(key.kind, operation, "failure").inc()

    async def _has_others(self, namespace: str) -> bool:
        return bool(await others_in(self._client, namespace))


async def others_in(client: KubeClient, namespace: str, gone: Collection[ObjectKey] = ()) -> list[ObjectKey]:
    """Return what a namespace holds of one kind that we did not make and Kubernetes does not put there, without what
    will be `gone`; empty where there is nothing of any kind."""
    for kind in _FOREIGN:
        try:
            objects, _ = await client.list(RESOURCES[kind], namespace=namespace)
        except Absent:
            continue
        found = [ObjectKey(kind, namespace, obj["metadata"]["name"]) for obj in objects if _is_foreign(obj)]
        if left := [key for key in found if key not in gone]:
            return left
    return []


def _is_foreign(obj: Manifest) -> bool:
    labels = obj["metadata"].get("labels", {})
    if obj["kind"] == "Model":
        return True
    ours = names.is_marked(obj) or names.MODEL in labels or names.GATEWAY in labels
    return not ours and obj["metadata"]["name"] not in _IN_EVERY_NAMESPACE
