"""How many replicas are ready, and how many gateway pods exist, read from pods as Kubernetes shows them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from collectors.pod_trouble import PodTrouble, trouble_of
from istio_templates.facts import Manifest, Pairs
from istio_templates.workloads.pod_phase import has_ended
from istio_templates.workloads.warm_gate import has_gate, is_proved

TEMPLATE_HASH = "pod-template-hash"
"""The label by which a Deployment tells the pods of one template from those of another."""


@dataclass(frozen=True, slots=True)
class PodState:
    """What of a pod decides: who it is, its labels, whether it may take requests, whether it is leaving or has ended,
    and whether it is `gated` by a warm-up, and if so `proved`: the container that runs was found warm.

    `proxy` is the version of Istio's proxy in it, as its image says; None where there is none or it says none.
    `trouble` is why it is not ready, as far as Kubernetes says it.
    """

    name: str
    labels: frozenset[tuple[str, str]]
    ready: bool
    leaving: bool
    address: str | None
    proxy: str | None = None
    gated: bool = False
    proved: bool = True
    ended: bool = False
    trouble: PodTrouble | None = None

    @property
    def revision(self) -> str:
        """Which pod template it was made from: the hash of that, or the pod's own name where it carries none."""
        return next((value for key, value in self.labels if key == TEMPLATE_HASH), self.name)


def pod_seen(pod: Manifest) -> PodState:
    """Return the facts of one pod."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    conditions = status.get("conditions") or []
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions) and not has_ended(pod)
    return PodState(
        metadata["name"],
        frozenset((metadata.get("labels") or {}).items()),
        ready,
        "deletionTimestamp" in metadata,
        status.get("podIP"),
        proxy_of(pod),
        has_gate(pod),
        is_proved(pod),
        has_ended(pod),
        None if ready else trouble_of(pod),
    )


def proxy_of(pod: Manifest) -> str | None:
    """Return the version of Istio's proxy in a pod."""
    images = [c.get("image", "") for c in pod.get("spec", {}).get("containers", []) if c["name"] == "istio-proxy"]
    _, colon, tag = images[0].rpartition("/")[2].partition(":") if images else ("", "", "")
    return tag if colon else None


class ReadyPods:
    """The pods that are ready and stay, found by their labels: a namespace may hold a thousand models."""

    def __init__(self, pods: Iterable[PodState]) -> None:
        self._by_label: dict[tuple[str, str], list[PodState]] = {}
        for pod in pods:
            if pod.ready and not pod.leaving:
                for pair in pod.labels:
                    self._by_label.setdefault(pair, []).append(pod)

    def count(self, labels: frozenset[tuple[str, str]]) -> int:
        """Return how many of them carry all `labels`, of which there is at least one."""
        found = min((self._by_label.get(pair, []) for pair in labels), key=len)
        return len(found) if len(labels) == 1 else sum(labels <= pod.labels for pod in found)

    def by_revision(self, labels: frozenset[tuple[str, str]]) -> Counter[str]:
        """Return how many of them were made from each pod template."""
        found = min((self._by_label.get(pair, []) for pair in labels), key=len)
        return Counter(pod.revision for pod in found if labels <= pod.labels)


def present(pods: Iterable[PodState], labels: Pairs) -> list[PodState]:
    """Return the pods with all `labels` that exist, starting and leaving ones included: each admits its share."""
    wanted = frozenset(labels)
    return [pod for pod in pods if wanted <= pod.labels]
