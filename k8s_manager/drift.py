"""Who else has written to what is ours: named in a condition of the document that it follows from, and in an event."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from istio_templates import names
from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.clock import Clock
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.event import event
from k8s_manager.plan import Owner, owner_of

log = logging.getLogger(__name__)
EVENT_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Repair:
    """An object that was set back: whose it is, and who had changed it."""

    owner: Owner
    uid: str
    writers: tuple[str, ...]

    def sentence(self, key: ObjectKey) -> str:
        """Return what happened, for people."""
        return f"{key} was changed by {', '.join(self.writers) or 'somebody'} and set back"


async def repair_of(client: KubeClient, key: ObjectKey) -> Repair | None:
    """Return who has written to an object as it is now, before it is set back; None where it is gone."""
    try:
        live = await client.get(key)
    except Absent:
        return None
    return Repair(owner_of(live["metadata"].get("labels", {})), live["metadata"]["uid"], _others(live))


def _others(live: Manifest) -> tuple[str, ...]:
    fields = live["metadata"].get("managedFields", [])
    others = {e["manager"] for e in fields if e["manager"] != names.MANAGER and not e.get("subresource")}
    return tuple(sorted(others))


class Recorder:
    """Writes an event for every repair, beside the object, but not again and again where two writers fight."""

    def __init__(self, client: KubeClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._written: dict[ObjectKey, float] = {}

    async def record(self, repairs: Mapping[ObjectKey, Repair]) -> None:
        """Write the events that are due; one that cannot be written is not missed."""
        now = self._clock.now()
        self._written = {key: at for key, at in self._written.items() if now - at < EVENT_PAUSE}
        due = {key: repair for key, repair in repairs.items() if key not in self._written}
        self._written |= dict.fromkeys(due, now)
        time = self._clock.utc()
        events = {key: event(key, r.uid, "Warning", "Repaired", r.sentence(key), time) for key, r in due.items()}
        await asyncio.gather(*(self._write(key, told) for key, told in events.items()))

    async def _write(self, key: ObjectKey, told: Manifest) -> None:
        try:
            await self._client.create(told)
        except TidegateError as error:
            log.warning("no event was written for %s: %s", key, error)
