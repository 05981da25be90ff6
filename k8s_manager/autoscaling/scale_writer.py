"""Writes numbers of replicas: the `scale` subresource of a Deployment, under a field manager of its own.

The manager applies Deployments without `replicas`. Under its own name the number would be a field that it has set and
leaves out now, and would be handed over in each pass (`k8s_manager/drift/handover.py`).
"""

from collections.abc import Mapping
from functools import partial

from istio_templates import names
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.autoscaling.scale_target import ScaleTarget, VersionKey
from k8s_manager.kube.base_version import require_same, write_over
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.metrics import RESCALED

FIELD_MANAGER = f"{names.MANAGER}-autoscaler"
AT_ONCE = 8


class ScaleWriter:
    """Writes the replicas of Deployments, unless another has changed them since they were decided on."""

    def __init__(self, client: FencedClient, store: Store, events: Events, effects: Effects) -> None:
        self._client, self._store, self._events = client, store, events
        self._lane = effects.lane("scale", AT_ONCE)

    async def write(self, wishes: Mapping[VersionKey, tuple[ScaleTarget, int]]) -> Mapping[VersionKey, str]:
        """Write the numbers that differ; return, by version, why one could not be written."""
        await self._lane.run({key: partial(self._write, target, count) for key, (target, count) in wishes.items()})
        return {key: str(failed.error) for key, failed in self._lane.failed.items() if key in wishes}

    async def _write(self, target: ScaleTarget, count: int) -> None:
        key = ObjectKey("Deployment", target.key.namespace, target.deployment)
        live = self._store.get(key)
        if live is None:
            raise Absent(f"{key} is gone; it is written again, and scaled then")
        if _number(live) == count:
            return
        decided_on = {**live, "spec": {**(live.get("spec") or {}), "replicas": target.replicas}}
        base = require_same(decided_on, live, _has_same_number)
        await write_over(
            self._client, base, lambda found: self._client.scale(key, count, FIELD_MANAGER, found), _has_same_number
        )
        self._announce(target, count)

    def _announce(self, target: ScaleTarget, count: int) -> None:
        before = target.replicas or 0
        RESCALED.labels("up" if count > before else "down").inc()
        subject = f"{target.key.namespace}/{target.key.model}"
        message = f"version {target.key.version} goes from {before} to {count} replicas"
        self._events.publish("scale", subject, message, kind="Model", version=target.key.version, replicas=count)


def _has_same_number(one: Manifest, other: Manifest) -> bool:
    return _number(one) == _number(other)


def _number(deployment: Manifest) -> int:
    found: int = (deployment.get("spec") or {}).get("replicas", 1)
    return found
