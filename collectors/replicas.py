"""How many replicas are ready, and how many gateway pods exist, read from pods as Kubernetes shows them."""

from collections.abc import Iterable
from dataclasses import dataclass

from istio_templates.facts import Manifest, Pairs


@dataclass(frozen=True, slots=True)
class PodSeen:
    """What of a pod decides: who it is, its labels, whether it may take requests, whether it is leaving.

    `proxy` is the version of Istio's proxy in it, as its image says; None where there is none or it says none.
    """

    name: str
    labels: frozenset[tuple[str, str]]
    ready: bool
    leaving: bool
    address: str | None
    proxy: str | None = None


def pod_seen(pod: Manifest) -> PodSeen:
    """Return the facts of one pod."""
    metadata, status = pod["metadata"], pod.get("status", {})
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
    return PodSeen(
        metadata["name"],
        frozenset(metadata.get("labels", {}).items()),
        ready,
        "deletionTimestamp" in metadata,
        status.get("podIP"),
        proxy_of(pod),
    )


def proxy_of(pod: Manifest) -> str | None:
    """Return the version of Istio's proxy in a pod."""
    images = [c.get("image", "") for c in pod.get("spec", {}).get("containers", []) if c["name"] == "istio-proxy"]
    _, colon, tag = images[0].rpartition("/")[2].partition(":") if images else ("", "", "")
    return tag if colon else None


def ready_replicas(pods: Iterable[PodSeen], labels: Pairs) -> int:
    """Return how many pods with all `labels` are ready and stay."""
    wanted = frozenset(labels)
    return sum(pod.ready and not pod.leaving and wanted <= pod.labels for pod in pods)


def present(pods: Iterable[PodSeen], labels: Pairs) -> list[PodSeen]:
    """Return the pods with all `labels` that exist, starting and leaving ones included: each admits its share."""
    wanted = frozenset(labels)
    return [pod for pod in pods if wanted <= pod.labels]
