"""Writes of statuses: where they differ, flickering counts with a pause, and an event for every new state."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.base_version import pinned, require_same, write_over
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.event import EventOutbox, event
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.merge_patch import patch_between
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.timestamp import timestamp
from k8s_manager.world.world import Stored, World

STATUS_PAUSE = 1.0
"""How often counts that flicker are written (seconds); conditions are written at once."""
_WARNINGS = (("Degraded", "True"), ("Progressing", "False"))
STATUSES_AT_ONCE = 8
"""Statuses written at once: they come in bursts, and must not delay the writes of documents."""


class StatusWriter:
    """Writes statuses where they differ from the live ones."""

    def __init__(
        self,
        client: FencedClient,
        store: Store,
        clock: Clock,
        events: Events,
        outbox: EventOutbox,
        effects: Effects,
    ) -> None:
        self._client, self._store, self._clock, self._events = client, store, clock, events
        self._outbox, self._lane = outbox, effects.lane("status", STATUSES_AT_ONCE)
        self._written_at: dict[ObjectKey, float] = {}
        self._equal: dict[ObjectKey, tuple[Manifest, Manifest]] = {}

    async def write(self, world: World, statuses: Mapping[ObjectKey, Manifest]) -> float | None:
        """Write the statuses that differ; return when the next delayed one is due."""
        now = self._clock.now()
        differing = [stored for stored in world.documents() if self._differs(stored, statuses[stored.key])]
        waiting = {
            stored.key
            for stored in differing
            if _has_same_states(stored, statuses[stored.key])
            and now < self._written_at.get(stored.key, -9e9) + STATUS_PAUSE
        }
        due = {s.key: partial(self._write, s, statuses[s.key]) for s in differing if s.key not in waiting}
        await self._lane.run(due, group=_tenant_of)
        here = statuses.keys()
        self._written_at = {key: at for key, at in self._written_at.items() if key in here}
        self._equal = {key: pair for key, pair in self._equal.items() if key in here}
        return min((self._written_at[key] + STATUS_PAUSE for key in waiting), default=None)

    def _differs(self, stored: Stored, wanted: Manifest) -> bool:
        equal = self._equal.get(stored.key)
        if equal is not None and equal[0] is stored.status and equal[1] is wanted:
            return False
        if _undated(stored.status) != _undated(wanted):
            return True
        self._equal[stored.key] = (stored.status, wanted)
        return False

    async def _write(self, stored: Stored, status: Manifest) -> None:
        time = timestamp(self._clock.utc())
        for condition in status["conditions"]:
            condition["lastTransitionTime"] = condition["lastTransitionTime"] or time
        patch = patch_between(stored.status, status)
        if "rollout" in status:  # the release loop's own part of it
            del patch["rollout"]
        try:
            self._store.put(await self._patch(stored, patch))
        except Absent:
            return
        self._written_at[stored.key] = self._clock.now()
        self._publish(stored, status)
        self._record(stored, status)

    async def _patch(self, stored: Stored, patch: Manifest) -> Manifest:
        """Merge a patch into the status from which it was made, unless another manager has written since: a migration
        or a drain goes on from what the status of its tenant or model says."""
        live = self._store.get(stored.key)
        if live is None:
            raise Absent(f"{stored.key} is gone")
        return await write_over(
            self._client,
            require_same({"status": stored.status, "metadata": live["metadata"]}, live, _has_same_status),
            lambda base: self._client.merge(stored.key, pinned({"status": patch}, base), "status"),
            _has_same_status,
        )

    def _record(self, stored: Stored, status: Manifest) -> None:
        """Have a Kubernetes Event written for each new trouble of a rollout: people look for it with kubectl
        describe."""
        before, now = _states(stored.status), self._clock.utc()
        for condition in status["conditions"]:
            is_new = (condition["type"], condition["status"], condition["reason"]) not in before
            if is_new and (condition["type"], condition["status"]) in _WARNINGS:
                message = condition["message"][:1024]
                self._outbox.add(event(stored.key, stored.uid, "Warning", condition["reason"], message, now))

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
            ready = sum(v["ready"] for v in status.get("versions") or [])
            said = f"ready replicas: {counts}"
            self._events.publish("replicas", subject, said, kind=stored.key.kind, ready=ready)


def _tenant_of(key: ObjectKey) -> str:
    return key.namespace or key.name


def _has_same_status(one: Manifest, other: Manifest) -> bool:
    """Tell whether two states of a document have the same status, but for the release, which another loop writes."""
    found, live = ({**(obj.get("status") or {}), "rollout": None} for obj in (one, other))
    return found == live


def _has_same_states(stored: Stored, status: Manifest) -> bool:
    """Tell whether only counts and messages differ, which may wait."""
    return _states(stored.status) == _states(status)


def _undated(status: Manifest) -> Manifest:
    """Return a status to compare: without dates, and conditions by their type, since their order means nothing."""
    kept = {key: _without_null(value) for key, value in status.items() if value is not None and key != "conditions"}
    conditions = {c["type"]: {**c, "lastTransitionTime": ""} for c in status.get("conditions", [])}
    return {**kept, "conditions": conditions}


def _without_null(value: Any) -> Any:
    """Return a value without the keys that are null: the API server does not keep those."""
    if isinstance(value, dict):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    return [_without_null(inner) for inner in value] if isinstance(value, list) else value


def _states(status: Manifest) -> set[tuple[str, str, str]]:
    return {(c["type"], c["status"], c["reason"]) for c in status.get("conditions", [])}
