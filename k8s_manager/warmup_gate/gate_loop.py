"""The gate loop: shows pods and plans to the warm-up controller, and turns the gates that it decides on.

Only the leader warms pods and opens gates. A manager that does not lead closes the gates of containers that were not
found warm, so that one that restarts in place waits for no change of leader.
"""

import json
import logging
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

from istio_templates.facts import Manifest, ObjectKey, Pairs
from istio_templates.names import MODEL, key_of, warmup_object
from istio_templates.workloads.warm_gate import has_gate
from istio_templates.workloads.warmup_plan import LABEL, PLAN_KEY, VERSIONS_KEY
from k8s_manager.dataplane.first_request import FirstRequestLoop
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import Cadence, control_loop
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.runtime.metrics import WARMED, WARMING
from k8s_manager.runtime.settings import Settings
from k8s_manager.warmup_gate.gate_closer import GateCloser
from k8s_manager.warmup_gate.pod_gates import PodGates
from k8s_manager.warmup_gate.progress import PodProgress, warmth_of
from warmup.clients import connect
from warmup.controller import RESYNC, WarmupController
from warmup.engine import WarmupOutcome
from warmup.gate import closings
from warmup.plans.bundle import Bundle, hash_of
from warmup.pods import GatedPod, WarmupClaim, gated_pod
from warmup.warmup_queue import WarmupBounds
from warmup.wire import ServerConnection

log = logging.getLogger(__name__)
KINDS = frozenset({"Pod", "ConfigMap", "Model"})
"""What triggers a pass."""
CADENCE = Cadence(0.02, 0.1)


@dataclass(frozen=True, slots=True)
class _Plans:
    """The claims in the cluster, and by namespace those of mode fixedDelay, whose pods have no gate."""

    claims: tuple[WarmupClaim, ...]
    delayed: Mapping[str, tuple[WarmupClaim, ...]]


class GateLoop:
    """Warms replicas, and knows how far each has come."""

    def __init__(
        self,
        client: FencedClient,
        store: Store,
        clock: Clock,
        settings: Settings,
        events: Events,
        firsts: FirstRequestLoop,
        effects: Effects,
        closer: GateCloser,
    ) -> None:
        self._store, self._clock, self._events, self._firsts = store, clock, events, firsts
        self._effects, self._closer = effects, closer
        self._gates = PodGates(client, store, clock, effects)
        self._bounds = WarmupBounds(settings.warming, settings.warming_per_node)
        self._memo, self._claims = Memo(), Memo()
        self._inside: dict[str, Last] = {}
        self._controller: WarmupController | None = None

    async def run(self, leads: bool = True) -> None:
        """Warm replicas until cancelled; a standby closes gates only."""
        await self._store.synced.wait()
        self._effects.wake.set()
        await (self._lead() if leads else self._follow())

    async def _lead(self) -> None:
        self._controller = controller = WarmupController(
            self._gates, self._clock, self._bounds, _connect, self, self._effects.wake.set
        )
        try:
            await control_loop("gates", partial(self.once, controller), self._effects, CADENCE, self._clock)
        finally:
            self._controller = None
            await controller.close()

    async def _follow(self) -> None:
        await control_loop("closing of gates", self.close_once, self._effects, CADENCE, self._clock)

    async def once(self, controller: WarmupController) -> float:
        """Show all pods and plans to the controller; return when the next pass is due at the latest."""
        plans = self._plans()
        due = await controller.look(self._pods(plans), plans.claims)
        WARMING.set(len(controller.progress))
        return due

    async def close_once(self) -> float:
        """Close the gates of containers that were not found warm; return when the next pass is due at the latest."""
        plans = self._plans()
        await self._closer.close(closings(self._pods(plans), plans.claims))
        return self._clock.now() + RESYNC

    def _pods(self, plans: _Plans) -> list[GatedPod]:
        """Return the pods that are warmed."""
        pods = [
            self._memo.get(
                ("pod", pod["metadata"]["uid"]), (pod["metadata"]["resourceVersion"],), partial(gated_pod, pod)
            )
            for pod in self._store.all("Pod")
            if has_gate(pod) or _is_delayed(pod, plans)
        ]
        self._memo.end_round()
        return pods

    def ended(self, pod: GatedPod, claim: WarmupClaim, outcome: WarmupOutcome) -> None:
        """Log and publish the result of a pod's warm-up."""
        WARMED.labels(outcome.result).observe(outcome.seconds)
        said = f"pod {pod.name}: {outcome.result}, {outcome.said} ({outcome.seconds:.1f} s)"
        level = logging.INFO if outcome.result == "Verified" else logging.WARNING
        log.log(level, "warm-up of %s/%s, %s", claim.namespace, claim.model, said)
        self._events.publish("warmup", f"{claim.namespace}/{claim.model}", said, pod=pod.name, result=outcome.result)

    def view(self, namespace: str, versions: Mapping[str, Pairs]) -> list[PodProgress]:
        """Return how far the gated pods of a model have come, from the labels of its versions."""
        progress = self._controller.progress if self._controller else {}
        found = []
        for pod in self._gated(namespace):
            version = next((name for name, labels in versions.items() if set(labels) <= _labels_of(pod)), None)
            if version is not None:
                uid = pod["metadata"]["uid"]
                found.append(warmth_of(pod, version, progress.get(uid), self._firsts.of(uid)))
        return sorted(found, key=lambda warmth: warmth.name)

    def _gated(self, namespace: str) -> list[Manifest]:
        """Return the pods with a gate in a namespace; every model in it needs them in each pass."""
        inside = self._inside.setdefault(namespace, Last())
        changes = (self._store.changes("Pod", namespace),)
        return inside.get(changes, lambda: [pod for pod in self._store.inside("Pod", namespace) if has_gate(pod)])

    def _plans(self) -> _Plans:
        changes = (self._store.changes("ConfigMap"), self._store.changes("Model"))
        return self._memo.get("plans", changes, self._read_plans)

    def _claim(self, obj: Manifest) -> WarmupClaim | None:
        metadata = obj["metadata"]
        return self._claims.get(metadata["uid"], (metadata["resourceVersion"],), partial(_claim, obj))

    def _read_plans(self) -> _Plans:
        claims = tuple(
            claim
            for obj in self._store.all("ConfigMap")
            if _is_plan_of_a_model(self._store, obj) and (claim := self._claim(obj))
        )
        self._claims.end_round()
        delayed: dict[str, tuple[WarmupClaim, ...]] = {}
        for claim in claims:
            if claim.mode == "fixedDelay":
                delayed[claim.namespace] = (*delayed.get(claim.namespace, ()), claim)
        return _Plans(claims, delayed)


def _is_plan_of_a_model(store: Store, obj: Manifest) -> bool:
    """Tell whether a ConfigMap is the one that the manager renders for a Model that is there: labels alone prove
    nothing."""
    metadata: dict[str, Any] = obj["metadata"]
    model = (metadata.get("labels") or {}).get(MODEL, "")
    ours = key_of(obj) in store.owned and metadata["name"] == warmup_object(model)
    there = ours and store.get(ObjectKey("Model", metadata["namespace"], model)) is not None
    return there and "deletionTimestamp" not in metadata


def _claim(obj: Manifest) -> WarmupClaim | None:
    """Return the claim in a plan's ConfigMap; None where it can no longer be read."""
    labels, namespace, name = obj["metadata"]["labels"], obj["metadata"]["namespace"], obj["metadata"]["name"]
    try:
        data = obj["data"]
        versions = tuple(_labels(found) for found in json.loads(data[VERSIONS_KEY]))
        plan = str(data[PLAN_KEY])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        log.warning("ConfigMap %s/%s holds no plan any more; it is written again", namespace, name)
        return None
    return WarmupClaim(namespace, labels[MODEL], labels.get(LABEL, ""), versions, plan, hash_of(plan))


def _labels(found: dict[str, str]) -> Pairs:
    if not found or not all(isinstance(text, str) for pair in found.items() for text in pair):
        raise ValueError("labels are texts, and at least one")
    return tuple(sorted(found.items()))


def _labels_of(pod: Manifest) -> Set[tuple[str, str]]:
    return (pod["metadata"].get("labels") or {}).items()


def _is_delayed(pod: Manifest, plans: _Plans) -> bool:
    claims = plans.delayed.get(pod["metadata"].get("namespace", ""))
    if not claims:
        return False
    labels = _labels_of(pod)
    return any(set(version) <= labels for claim in claims for version in claim.versions)


def _connect(bundle: Bundle, address: str, plan: str) -> ServerConnection:
    return connect(bundle.spec.target, address, plan, bundle.spec.load.concurrency)
