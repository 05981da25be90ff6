"""What the manager writes into the documents themselves: statuses and finalizers."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import Any

from istio_templates.documents.parse import API_VERSION
from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.repair import DriftEvents, Repair
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, WriteConflict
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.plan import Plan, identity_of
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.timestamp import timestamp
from k8s_manager.world.owner import owner_of
from k8s_manager.world.world import FINALIZER, Stored, World

log = logging.getLogger(__name__)
FINALIZER_MANAGER = "tidegate-finalizer"
# Counts that flicker are told at most this often; conditions are told at once.
STATUS_PAUSE = 1.0
STATUSES_AT_ONCE = 8
"""Statuses written at once: they come in bursts, and must not be in the way of those who write documents."""
_MAKES_NOTHING = ("LimitOverride", "WarmupPlan", "AccessGrant")


class StatusWriter:
    """Writes statuses where they differ, and finalizers as documents come and go."""

    def __init__(self, client: KubeClient, store: Store, clock: Clock, events: Events, in_flight: int) -> None:
        self._client, self._store, self._clock, self._events = client, store, clock, events
        self._places, self._recorder = asyncio.Semaphore(in_flight), DriftEvents(client, clock)
        self._status_places = asyncio.Semaphore(STATUSES_AT_ONCE)
        self._told_at: dict[ObjectKey, float] = {}
        self._equal: dict[ObjectKey, tuple[Manifest, Manifest]] = {}

    async def record(self, repairs: Mapping[ObjectKey, Repair]) -> None:
        """Write an event for everything that was set back."""
        await self._recorder.record(repairs)

    async def finalizers(self, world: World) -> None:
        """Put our finalizer on every document that is not leaving, before anything is made for it."""
        made_for = (stored for stored in world.documents() if stored.key.kind not in _MAKES_NOTHING)
        wanting = [stored for stored in made_for if not stored.finalizer and not stored.deleting]
        await asyncio.gather(*(self._finalizer(stored) for stored in wanting))

    async def release(
        self, plan: Plan, owned: Mapping[ObjectKey, Manifest], limited: frozenset[tuple[str, str]]
    ) -> None:
        """Let documents go for which nothing is left, limits included."""
        if not plan.leaving:
            return
        left = {
            owner_of(obj["metadata"]["labels"]) for obj in owned.values() if "deletionTimestamp" not in obj["metadata"]
        }
        for leaving in plan.leaving:
            stored = leaving.stored
            identity = identity_of(stored)
            in_a_slot = (
                stored.key.kind == "Model"
                and identity not in plan.limits
                and any((pool, identity) in limited for pool in plan.pools)
            )
            if leaving.waits is None and leaving.owner not in left and stored.finalizer and not in_a_slot:
                await self._let_go(stored)

    async def tell(self, world: World, statuses: Mapping[ObjectKey, Manifest]) -> float | None:
        """Write the statuses that differ; return when to come back for those that were put off."""
        now = self._clock.now()
        differing = [stored for stored in world.documents() if self._differs(stored, statuses[stored.key])]
        put_off = [
            s
            for s in differing
            if self._may_wait(s, statuses[s.key]) and now < self._told_at.get(s.key, -9e9) + STATUS_PAUSE
        ]
        waiting = {stored.key for stored in put_off}
        await asyncio.gather(*(self._tell(s, statuses[s.key]) for s in differing if s.key not in waiting))
        here = statuses.keys()
        self._told_at = {key: at for key, at in self._told_at.items() if key in here}
        self._equal = {key: pair for key, pair in self._equal.items() if key in here}
        return min((self._told_at[key] + STATUS_PAUSE for key in waiting), default=None)

    def _differs(self, stored: Stored, wanted: Manifest) -> bool:
        equal = self._equal.get(stored.key)
        if equal is not None and equal[0] is stored.status and equal[1] is wanted:
            return False
        if _undated(stored.status) != _undated(wanted):
            return True
        self._equal[stored.key] = (stored.status, wanted)
        return False

    def _may_wait(self, stored: Stored, status: Manifest) -> bool:
        return _states(stored.status) == _states(status)

    async def _tell(self, stored: Stored, status: Manifest) -> None:
        time = timestamp(self._clock.utc())
        for condition in status["conditions"]:
            condition["lastTransitionTime"] = condition["lastTransitionTime"] or time
        gone = dict.fromkeys(stored.status.keys() - status.keys())
        async with self._status_places:
            try:
                self._store.put(await self._client.merge(stored.key, {"status": {**status, **gone}}, "status"))
                self._told_at[stored.key] = self._clock.now()
            except Absent:
                return
            except TidegateError as error:
                log.warning("status of %s was not written: %s", stored.key, error)
                return
        self._publish(stored, status)

    def _publish(self, stored: Stored, status: Manifest) -> None:
        before = _states(stored.status)
        subject = f"{stored.key.namespace}/{stored.key.name}" if stored.key.namespace else stored.key.name
        for condition in status["conditions"]:
            state = (condition["type"], condition["status"], condition["reason"])
            if state not in before:
                message = (
                    f"{condition['type']} is {condition['status']} ({condition['reason']}): {condition['message']}"
                )
                self._events.publish("condition", subject, message, kind=stored.key.kind)
        if stored.status.get("versions") != status.get("versions"):
            counts = ", ".join(f"{v['name']} {v['ready']}" for v in status.get("versions") or [])
            self._events.publish("replicas", subject, f"ready replicas: {counts}", kind=stored.key.kind)

    async def _finalizer(self, stored: Stored) -> None:
        metadata: Manifest = {"name": stored.key.name, "uid": stored.uid, "finalizers": [FINALIZER]}
        if stored.key.namespace:
            metadata["namespace"] = stored.key.namespace
        obj = {"apiVersion": API_VERSION, "kind": stored.key.kind, "metadata": metadata}
        await self._bounded(stored, self._client.apply(obj, force=True, manager=FINALIZER_MANAGER))

    async def _let_go(self, stored: Stored) -> None:
        """Take our finalizer off, whoever put it there: a restored document carries it in another's name."""
        live = self._store.get(stored.key)
        if live is None:
            return
        left = [name for name in live["metadata"].get("finalizers", []) if name != FINALIZER]
        metadata = {"finalizers": left, "uid": stored.uid, "resourceVersion": live["metadata"]["resourceVersion"]}
        await self._bounded(stored, self._client.merge(stored.key, {"metadata": metadata}))

    async def _bounded(self, stored: Stored, call: Awaitable[Manifest]) -> None:
        async with self._places:
            try:
                answer = await call
                if FINALIZER in answer["metadata"].get("finalizers", []):
                    self._store.put(answer)
            except (Absent, WriteConflict):
                return
            except TidegateError as error:
                log.warning("finalizer of %s was not written: %s", stored.key, error)


def _undated(status: Manifest) -> Manifest:
    kept = {key: _given(value) for key, value in status.items() if value is not None and key != "conditions"}
    conditions = [{**condition, "lastTransitionTime": ""} for condition in status.get("conditions", [])]
    return {**kept, "conditions": conditions}


def _given(value: Any) -> Any:
    """Return a value without the keys that are null: the API server does not keep those."""
    if isinstance(value, dict):
        return {key: _given(inner) for key, inner in value.items() if inner is not None}
    return [_given(inner) for inner in value] if isinstance(value, list) else value


def _states(status: Manifest) -> set[tuple[str, str, str]]:
    return {(c["type"], c["status"], c["reason"]) for c in status.get("conditions", [])}
