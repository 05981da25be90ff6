"""Pods that wait for the gate, as the keeper of the gate sees them."""

from dataclasses import dataclass
from typing import Any

from istio_templates.facts import Manifest, Pairs
from istio_templates.workloads.pod_phase import has_ended
from istio_templates.workloads.warm_gate import (
    GATE,
    RELEASED,
    WarmupResult,
    has_gate,
    model_containers,
    running_container,
    verdict_of,
)


@dataclass(frozen=True, slots=True)
class GatedPod:
    """A pod that is warmed: `gated` by Tidegate's readiness gate, or (fixedDelay) not. `serves` says whether its
    container is ready by its own probes. `container` is the ID of the model's container while it runs; `condition` the
    gate's (status, reason), None before it is set."""

    namespace: str
    name: str
    uid: str
    gated: bool
    serves: bool
    labels: frozenset[tuple[str, str]]
    leaving: bool
    address: str | None
    node: str
    container: str | None
    condition: tuple[str, str] | None
    verdict: WarmupResult | None

    @property
    def is_open(self) -> bool:
        """Tell whether the gate is open."""
        return self.condition is not None and self.condition[0] == "True"

    @property
    def holds(self) -> bool:
        """Tell whether its verdict is about the container that runs now, and lets requests in."""
        verdict = self.verdict
        return (
            verdict is not None
            and self.container is not None
            and verdict.is_open
            and (verdict.uid, verdict.container) == (self.uid, self.container)
        )

    @property
    def is_released(self) -> bool:
        """Tell whether it serves only because no model claimed its warm-up."""
        return self.holds and self.verdict is not None and self.verdict.result == RELEASED

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def gated_pod(pod: Manifest) -> GatedPod:
    """Return what the keeper has to know of a pod."""
    metadata, status = pod["metadata"], pod.get("status", {})
    conditions: list[dict[str, Any]] = status.get("conditions") or []
    gate = next((c for c in conditions if c.get("type") == GATE), None)
    return GatedPod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        gated=has_gate(pod),
        serves=bool(found := model_containers(pod)) and all(status.get("ready") for status in found),
        labels=frozenset((metadata.get("labels") or {}).items()),
        leaving="deletionTimestamp" in metadata or has_ended(pod),
        address=status.get("podIP"),
        node=pod.get("spec", {}).get("nodeName", ""),
        container=running_container(pod),
        condition=None if gate is None else (gate.get("status", ""), gate.get("reason", "")),
        verdict=verdict_of(pod),
    )


@dataclass(frozen=True, slots=True)
class WarmupClaim:
    """A model whose pods are warmed: its namespace and name, the mode of its warm-up, the labels of each of its
    versions, and its plan's text and name."""

    namespace: str
    model: str
    mode: str
    versions: tuple[Pairs, ...]
    plan: str
    hash: str

    def is_of(self, pod: GatedPod) -> bool:
        """Tell whether a pod is one of this model's."""
        return pod.namespace == self.namespace and any(set(labels) <= pod.labels for labels in self.versions)
