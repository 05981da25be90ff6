"""The leader's writes to pods: it opens and closes their readiness gates, and deletes pods where a plan asks for that.

Every write of a gate names the version of the pod that it was decided from. One that comes late, since its manager was
stopped or another one was first, is refused; the watch brings what the pod is now, and the next pass decides again.
"""

from contextlib import suppress

from istio_templates.facts import Manifest, ObjectKey
from istio_templates.workloads.warm_gate import GATE, VERDICT
from k8s_manager.kube.base_version import pinned
from k8s_manager.kube.errors import Absent, Unavailable, WriteConflict
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.effects.lane import Effect, Effects
from k8s_manager.runtime.timestamp import timestamp
from k8s_manager.warmup_gate.gate_closer import closing_patch
from warmup.gate import GateUpdate
from warmup.pods import GatedPod, gated_pod

AT_ONCE, PATIENCE, BACKOFF = 32, 0.5, Backoff(0.5, 5.0)


class PodGates:
    """Turns gates. A patch names the pod's version, and touches Tidegate's condition and annotation only.

    A call that has not arrived raises a `TidegateError`; a late one runs on, and no other of that pod begins meanwhile.
    """

    def __init__(self, client: FencedClient, store: Store, clock: Clock, effects: Effects) -> None:
        self._client, self._store, self._clock = client, store, clock
        self._lane = effects.lane("gate", AT_ONCE, PATIENCE, BACKOFF)

    async def turn(self, turn: GateUpdate) -> None:
        """Set a pod's gate; a pod that has gone, or for which the turn is no longer right, needs none."""

        async def write() -> None:
            base = self._store.get(_key(turn.pod))
            if base is None or not turn.is_for(gated_pod(base)):
                return
            with suppress(Absent, WriteConflict):
                patch = gate_patch(turn, base, timestamp(self._clock.utc()))
                self._store.put(await self._client.strategic(_key(turn.pod), patch, "status"))

        await self._carry_out(turn.pod, write)

    async def delete(self, pod: GatedPod) -> None:
        """Delete a pod, if it still is the observed one."""

        async def delete() -> None:
            with suppress(Absent):
                await self._client.delete(_key(pod), pod.uid)

        await self._carry_out(pod, delete)

    async def _carry_out(self, pod: GatedPod, effect: Effect) -> None:
        if await self._lane.run({pod.uid: effect}, group=lambda _: pod.namespace):
            failed = self._lane.failed.get(pod.uid)
            raise failed.error if failed else Unavailable(f"{_key(pod)}: a write of it is under way; it is waited for")


def gate_patch(turn: GateUpdate, base: Manifest, at: str) -> Manifest:
    """Return the patch of a pod's status that carries out a turn at its version `base`."""
    if not turn.open:
        return closing_patch(base, turn.reason, turn.said, at)
    condition = {"type": GATE, "status": "True", "reason": turn.reason, "message": turn.said[:1024]}
    patch: Manifest = {"status": {"conditions": [{**condition, "lastTransitionTime": at}]}}
    if turn.verdict:
        patch["metadata"] = {"annotations": {VERDICT: turn.verdict.text()}}
    return pinned(patch, base)


def _key(pod: GatedPod) -> ObjectKey:
    return ObjectKey("Pod", pod.namespace, pod.name)
