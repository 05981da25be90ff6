"""apply: carry out changes in order, side by side within a stage, each failure with its owner.

What fails or is late stops the later stages of its owner, and of no other owner. A write that is late runs on, and is
not made a second time meanwhile; when it ends, the next pass goes on from what it brought.

An `ApplyTarget` takes changes and reports the result of each; the cluster is one, a Git tree (`gitops.tree_target`)
another.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Protocol

from istio_templates import names
from istio_templates.catalog import ORDER, stage
from istio_templates.errors import Problem, TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.deletion_guard import DeletionGuard
from k8s_manager.drift.digest import digest_of, has_same_digest
from k8s_manager.drift.field_policy import writers_of
from k8s_manager.drift.handover import HANDOVER, given_up, handover, may_hand_over
from k8s_manager.drift.provenance import SHARED, belongs, is_foreign, is_made_by_us
from k8s_manager.drift.repair import Repair, RepairLimiter, repair_of, resolve_drift
from k8s_manager.kube.base_version import pinned, read_live, require_same, write_over
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, ForeignObject, Refused, Unavailable, WriteConflict
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.resources import RESOURCES, selector_of
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.changes import Changes, Write
from k8s_manager.pipeline.plan import Plan
from k8s_manager.pipeline.write_order import ahead_of_pods, gateways_in_use
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.effects.lane import Effect, Effects
from k8s_manager.runtime.metrics import APPLIED
from k8s_manager.world.condition import Condition
from k8s_manager.world.owner import Owner, owner_of
from k8s_manager.world.world import World

log = logging.getLogger(__name__)
SHORTEST = 0.05
"""The shortest pause before an object is set back (seconds): one that rounds to nothing would not let time pass."""
PODS = ORDER.index("Deployment")
_NO_DRY_RUN = "does not support dry run"  # what an API server says of a webhook that it then does not ask
_FOREIGN = (
    "Model", "Pod", "Service", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "PersistentVolumeClaim",
    "ConfigMap", "Secret", "ServiceAccount", "Ingress", "Role", "RoleBinding", "HorizontalPodAutoscaler",
    "PodDisruptionBudget", "NetworkPolicy", "Gateway", "VirtualService", "DestinationRule", "EnvoyFilter",
    "Telemetry",
)  # fmt: skip
_IN_EVERY_NAMESPACE = ("kube-root-ca.crt", "istio-ca-root-cert", "istio-ca-crl", "default")


@dataclass(frozen=True, slots=True)
class Failure:
    """A write that has not arrived: why, how often it failed, and when it is tried again (seconds of the clock)."""

    error: TidegateError
    owner: Owner
    attempts: int
    again_at: float


@dataclass(slots=True)
class Results:
    """Results of the changes: how many were written, failures by object, what waits until when since it is changed too
    often, repairs of other writers' edits; and the owners whose objects another writer has to bring first, with a
    condition."""

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

    def __init__(self, client: FencedClient, store: Store, clock: Clock, effects: Effects, in_flight: int) -> None:
        self._client, self._store, self._clock = client, store, clock
        self._lane = effects.lane("apply", in_flight)
        self._owners: dict[ObjectKey, Owner] = {}
        self._repairs = RepairLimiter(clock)
        self._repaired: dict[ObjectKey, Repair] = {}
        self._written: set[ObjectKey] = set()
        self._count = 0

    async def apply(self, changes: Changes, basis: Basis) -> Results:
        """Make stage by stage, then delete in reverse order; what has not arrived stops its owner's later stages."""
        results, before = Results(), self._count
        self._begin(changes)
        for number, group in groupby(changes.writes, key=lambda write: stage(write.obj)):
            if number == PODS:
                await self._run({names.key_of(obj): partial(self._try, obj) for obj in ahead_of_pods(changes)})
            stopped = self._stopped()
            due = [write for write in group if self._may_write(write, stopped, results)]
            await self._run({names.key_of(write.obj): partial(self._write, write) for write in due})
        in_use = gateways_in_use(changes.deletes, self._unwritten(changes, results))
        self._lane.book.forget(in_use)  # tried when the rest is written; no retry of its own until then
        deletes = [obj for obj in changes.deletes if names.key_of(obj) not in in_use]
        guard = DeletionGuard(self._client, basis.world.documents(), self._store.put)
        for _, objects in groupby(deletes, key=stage):
            stopped, keyed = self._stopped(), {names.key_of(obj): obj for obj in objects}
            going = {key: obj for key, obj in keyed.items() if self._owners[key] not in stopped or self._is_due(key)}
            await self._run({key: partial(self._delete, obj, guard) for key, obj in going.items()})
        results.written, results.failures = self._count - before, dict(self._failures())
        results.repaired, self._repaired = self._repaired, {}
        return results

    def _begin(self, changes: Changes) -> None:
        """Note the owners of all objects, and forget failures of those that are not desired any more."""
        objects = [*(write.obj for write in changes.writes), *changes.deletes, *changes.awaited]
        owners = {names.key_of(obj): owner_of(obj["metadata"].get("labels", {})) for obj in objects}
        self._lane.book.retain(owners.keys())
        kept = self._lane.book.under_way
        self._owners = {key: owner for key, owner in self._owners.items() if key in kept} | owners

    async def _run(self, effects: dict[ObjectKey, Effect]) -> None:
        await self._lane.run(effects, group=lambda key: self._owners[key])

    def _stopped(self) -> set[Owner]:
        """Return the owners of which something has not arrived; with a tenant, those of its models whose namespace is
        late with it."""
        failed = {self._owners[key] for key in self._lane.failed if key in self._owners}
        late = {self._owners[key] for key in self._lane.late if key in self._owners}
        tenants = {owner for key in self._lane.late if (owner := self._owners.get(key)) and key.kind == "Namespace"}
        models = {owner for owner in self._owners.values() if ("", owner[1], "") in tenants}
        return failed | late | models

    def _failures(self) -> Iterator[tuple[ObjectKey, Failure]]:
        for key, failed in self._lane.failed.items():
            yield key, Failure(failed.error, self._owners[key], failed.attempts, failed.due)
        for key in self._lane.late:
            error = Unavailable(f"{key}: the API server has not answered yet; its answer is waited for")
            yield key, Failure(error, self._owners[key], 0, self._clock.now())

    async def _try(self, obj: Manifest) -> None:
        """Ask the API server whether it takes an object that is written later; its refusal is a failure."""
        key = names.key_of(obj)
        try:
            await self._client.apply(obj, force=True, dry_run=True)
        except Refused as error:
            if _NO_DRY_RUN not in str(error):
                live = await read_live(self._client, key)
                raise (ForeignObject(key, writers_of(live)) if live and is_foreign(live, obj) else error) from error
        except TidegateError:
            if key in self._lane.failed:
                raise
            log.debug("%s cannot be tried now; it is written in its turn", key)

    def _unwritten(self, changes: Changes, results: Results) -> set[str]:
        """Return the tenants of which something was not written."""
        behind = self._lane.failed.keys() | self._lane.late | results.put_off.keys()
        owners = (
            owner_of(write.obj["metadata"]["labels"]) for write in changes.writes if names.key_of(write.obj) in behind
        )
        return {owner[1] for owner in owners} - {""}

    def _may_write(self, write: Write, stopped: set[Owner], results: Results) -> bool:
        """Tell whether it is an object's turn; note in `results` what is changed too often."""
        key = names.key_of(write.obj)
        owner = self._owners[key]
        if owner in stopped and not self._is_due(key):
            return False
        if write.first and key.kind == "EnvoyFilter" and self._store.get(key) is not None:
            return False  # made meanwhile: a slot, by the limit loop, which is not to be emptied again
        if not self._lane.book.may_begin(key, self._clock.now()):
            return False
        if self._is_repair(write) and key not in self._lane.failed and (pause := self._repairs.take(key, owner)):
            results.put_off[key] = self._clock.now() + max(pause, SHORTEST)
            return False
        return True

    def _is_repair(self, write: Write) -> bool:
        """Tell whether a write sets back what others have changed in an object that Tidegate wrote before.

        What others prepared with the manager's labels, such as a thousand namespaces, is written for the first time: at
        no pace.
        """
        key = names.key_of(write.obj)
        live = self._store.owned.get(key)
        return write.drifted and (key in self._written or (live is not None and digest_of(live) is not None))

    async def _write(self, write: Write) -> None:
        with _counted(write.obj["kind"], "apply"):
            await self._put(write)
        self._count += 1

    async def _put(self, write: Write) -> None:
        key, obj, surplus, repair, base = names.key_of(write.obj), write.obj, {}, None, write.base
        unseen = self._is_unseen(key)
        if not unseen and (write.drifted or write.policy != "repair" or self._is_strange(write) or may_hand_over(obj)):
            live = await read_live(self._client, key)
            if live is not None:
                base = require_same(write.base, live, has_same_digest)
                settled = resolve_drift(live, obj, write.policy, write.first, write.drifted)
                if fields := given_up(live, obj):
                    base = await self._client.apply(handover(live, fields), force=True, manager=HANDOVER)
                if write.first or self._is_repair(write):
                    owner = owner_of(obj["metadata"]["labels"])
                    fought = self._repairs.is_fought(key)
                    repair = repair_of(settled, live, owner, write.policy, write.first, fought)
                obj, surplus = settled.obj, {} if write.first else settled.surplus
        if unseen:
            answer = await self._make(obj)
        elif surplus:
            answer = await self._exchange(key, surplus, obj)
        else:
            answer = await self._apply_over(base, obj, force=not write.first)
        self._store.put(answer)
        self._written.add(key)
        if repair:
            self._repaired[key] = repair

    async def _apply_over(self, base: Manifest | None, obj: Manifest, force: bool) -> Manifest:
        """Apply an object over what it was decided from, unless another manager has decided since."""
        if base is None:
            return await self._client.apply(obj, force=force)
        return await write_over(
            self._client, base, lambda live: self._client.apply(pinned(obj, live), force=force), has_same_digest
        )

    def _is_strange(self, write: Write) -> bool:
        """Tell whether what is there may be another writer's or another document's."""
        known = self._store.owned.get(names.key_of(write.obj))
        return write.first or known is None or not belongs(known, write.obj)

    def _is_unseen(self, key: ObjectKey) -> bool:
        """Tell whether an object of a kind that is watched whole is not there."""
        return selector_of(key.kind) == "" and self._store.get(key) is None

    async def _make(self, obj: Manifest) -> Manifest:
        """Make an object; where another writer was faster than the watch, leave it as that one made it.

        Another owner may have created a namespace since the last list; the next reconcile pass decides whether it gets
        labels of Tidegate."""
        if obj["kind"] in SHARED and (live := await read_live(self._client, names.key_of(obj))):
            self._store.put(live)
            raise WriteConflict(str(names.key_of(obj)), [Problem("", "it exists already; it is read again")])
        made = await self._client.apply(obj, force=False)
        if made["kind"] not in SHARED and (others := writers_of(made)):
            await self._give_up(obj)
            raise ForeignObject(names.key_of(obj), others)
        return made

    async def _exchange(self, key: ObjectKey, surplus: Manifest, obj: Manifest) -> Manifest:
        """Remove what others have added, and write the manager's own; where nothing would be left in between, the other
        way round."""
        patch = self._client.merge if RESOURCES[key.kind].is_custom else self._client.strategic
        try:
            await patch(key, surplus)
        except Refused:
            await self._client.apply(obj, force=True)
            return await patch(key, surplus)
        return await self._client.apply(obj, force=True)

    async def _delete(self, obj: Manifest, guard: DeletionGuard) -> None:
        key = names.key_of(obj)
        with _counted(key.kind, "delete"):
            try:
                await guard.require_current(obj)
                await self._take_away(key, obj)
            except Absent:
                self._store.drop(obj)
        self._count += 1

    async def _take_away(self, key: ObjectKey, obj: Manifest) -> None:
        """Delete an object that the manager made; release one that others made or live in."""
        if key.kind == "Namespace" and await self._has_others(key.name):
            self._store.put(await self._unmark(await self._give_up(obj)))
            return
        if key.kind not in SHARED and not is_made_by_us(live := await self._client.get(key)):
            log.warning("%s carries our labels but was made by others: it stays, without them", key)
            self._store.put(await self._unmark(live))
            return
        await write_over(self._client, obj, partial(self._delete_at, key), has_same_digest)
        self._written.discard(key)
        self._store.leave(obj)

    async def _delete_at(self, key: ObjectKey, live: Manifest) -> None:
        await self._client.delete(key, live["metadata"]["uid"], live["metadata"]["resourceVersion"])

    async def _give_up(self, obj: Manifest) -> Manifest:
        """Remove the manager's fields from an object that stays, but for those that a tool has applied the same."""
        key = names.key_of(obj)
        return await self._client.apply(
            names.manifest(obj["apiVersion"], key.kind, key.name, key.namespace, {}), force=True
        )

    async def _unmark(self, live: Manifest) -> Manifest:
        """Remove the manager's labels from an object."""
        ours = [label for label in live["metadata"].get("labels") or {} if names.is_ours(label)]
        if not ours:
            return live
        return await self._client.merge(names.key_of(live), {"metadata": {"labels": dict.fromkeys(ours)}})

    def _is_due(self, key: ObjectKey) -> bool:
        """Tell whether a write has failed and may be tried again."""
        return key in self._lane.failed and self._lane.book.may_begin(key, self._clock.now())

    async def _has_others(self, namespace: str) -> bool:
        return bool(await others_in(self._client, namespace))


@contextmanager
def _counted(kind: str, operation: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        APPLIED.labels(kind, operation, "failure").inc()
        raise
    APPLIED.labels(kind, operation, "success").inc()


async def others_in(client: KubeClient, namespace: str, gone: Collection[ObjectKey] = ()) -> list[ObjectKey]:
    """Return the objects of one kind in a namespace that neither the manager nor Kubernetes made there, without those
    that will be `gone`; empty where there are none of any kind."""
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
