"""Kubernetes Events: what people find with `kubectl describe`."""

import hashlib
import logging
from collections.abc import Hashable
from datetime import datetime
from functools import partial

from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import key_of
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, Refused, WriteConflict
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.timestamp import timestamp

log = logging.getLogger(__name__)
AT_ONCE, PATIENCE, MOST_WAITING = 4, 0.2, 1000
_LONGEST_NAME = 200


def event(key: ObjectKey, uid: str, kind: str, reason: str, message: str, at: datetime) -> Manifest:
    """Return an event about an object; `kind` is Normal or Warning.

    The same event always has the same name: written twice, since an answer was lost, it is there once.
    """
    about = {"kind": key.kind, "name": key.name, "namespace": key.namespace, "uid": uid}
    time = timestamp(at)
    digest = hashlib.sha256(f"{uid} {kind} {reason} {message} {time}".encode()).hexdigest()[:16]
    name = f"{key.name[:_LONGEST_NAME]}.{digest}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": key.namespace or "default"},
        "involvedObject": {**about, "apiVersion": RESOURCES[key.kind].group_version},
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": "tidegate"},
        "reportingComponent": "tidegate.dev/manager",
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }


class EventOutbox:
    """Events that wait to be written: a failed one is tried again, and none holds a pass. Of too many, the oldest are
    dropped."""

    def __init__(self, client: KubeClient, effects: Effects) -> None:
        self._client, self._lane = client, effects.lane("event", AT_ONCE, PATIENCE)
        self._waiting: dict[Hashable, Manifest] = {}

    def add(self, body: Manifest) -> None:
        """Have an event written at the next `write`."""
        self._waiting[body["metadata"]["namespace"], body["metadata"]["name"]] = body
        if len(self._waiting) > MOST_WAITING:
            self._waiting.pop(next(iter(self._waiting)))

    async def write(self) -> None:
        """Write what waits and is due."""
        await self._lane.run({key: partial(self._write, key, body) for key, body in self._waiting.items()})

    async def _write(self, key: Hashable, body: Manifest) -> None:
        try:
            await self._client.create(body)
        except WriteConflict:  # it is there: an earlier attempt wrote it, whose answer was lost
            await self._client.get(key_of(body))
        except (Absent, Refused):  # it never will be
            log.warning("no event is written for %s", body["metadata"]["name"])
        self._waiting.pop(key, None)
