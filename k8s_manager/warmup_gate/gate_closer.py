"""Closing of readiness gates by a manager that does not lead, and therefore without the leader's fence.

A closed gate costs a warm-up at most, an open one over a cold container costs requests: so any manager may close, and
only the leader opens. What is written here is a condition of status False, whatever is asked for. It names the version
of the pod that it was decided from: a manager with an old view, or the second of two that close at once, is refused. It
decides again when the watch has brought what the pod is now.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from istio_templates.facts import Manifest, ObjectKey
from istio_templates.workloads.warm_gate import GATE
from k8s_manager.kube.base_version import pinned
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, WriteConflict
from k8s_manager.kube.store import Store
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.metrics import STANDBY_CLOSURES
from k8s_manager.runtime.timestamp import timestamp
from warmup.gate import GateClosing
from warmup.pods import gated_pod

log = logging.getLogger(__name__)
AT_ONCE, PATIENCE, BACKOFF = 32, 0.5, Backoff(0.25, 2.0)


class GateCloser:
    """Closes gates, and has no way to open one."""

    def __init__(self, client: KubeClient, store: Store, clock: Clock, effects: Effects) -> None:
        self._client, self._store, self._clock = client, store, clock
        self._lane = effects.lane("standby gate", AT_ONCE, PATIENCE, BACKOFF)

    async def close(self, closings: Iterable[GateClosing]) -> None:
        """Close gates side by side; one that has not arrived is due again."""
        due = {closing.pod.uid: closing for closing in closings}
        effects = {uid: partial(self._close, closing) for uid, closing in due.items()}
        await self._lane.run(effects, group=lambda uid: due[uid].pod.namespace)

    async def _close(self, closing: GateClosing) -> None:
        """Close one gate, if its pod is as it was when that was decided."""
        key = ObjectKey("Pod", closing.pod.namespace, closing.pod.name)
        base = self._store.get(key)
        if base is None or gated_pod(base) != closing.pod:
            return
        patch = closing_patch(base, closing.reason, closing.said, timestamp(self._clock.utc()))
        with suppress(Absent, WriteConflict):
            self._store.put(await self._client.strategic(key, patch, "status"))
            STANDBY_CLOSURES.inc()
            log.info("the gate of %s is closed by this manager, which does not lead: %s", closing.pod, closing.said)


def closing_patch(base: Manifest, reason: str, said: str, at: str) -> Manifest:
    """Return the patch of a pod's status that closes its gate at its version `base`."""
    condition = {"type": GATE, "status": "False", "reason": reason, "message": said[:1024], "lastTransitionTime": at}
    return pinned({"status": {"conditions": [condition]}}, base)
