"""What Kubernetes says of a Deployment that the manager owns, and of the pods that do not start. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from collectors.pod_trouble import UNSCHEDULABLE, PodTrouble
from collectors.replicas import PodState
from istio_templates import names
from istio_templates.facts import Manifest


@dataclass(frozen=True, slots=True)
class Rollout:
    """Progress of a Deployment: of `wanted` replicas, how many exist, are `updated` to its template and available.

    `observed` is the generation that Kubernetes has acted on, None where it has not yet. `settled`: by
    Kubernetes' own condition Progressing the rollout was complete once; `progressing` is the reason and message of that
    condition where it does not hold, `refused` why no pod could be made. `digest` and
    `figures` are the manager's annotations.
    """

    name: str
    generation: int
    observed: int | None
    wanted: int
    existing: int
    updated: int
    available: int
    settled: bool = False
    progressing: tuple[str, str] | None = None
    refused: tuple[str, str] | None = None
    digest: str = ""
    figures: str = ""

    @property
    def is_observed(self) -> bool:
        """Tell whether Kubernetes has acted on the Deployment as it is."""
        return self.observed is not None and self.observed >= self.generation

    @property
    def is_complete(self) -> bool:
        """Tell whether all replicas run the template and are available, and none is left of an older one."""
        is_new = self.is_observed and self.existing <= self.updated >= self.wanted
        return is_new and (self.settled or self.available >= self.wanted)


NODE_GRACE = timedelta(seconds=30)
"""For how long a pod may look for a node before it counts as one that finds none."""


@dataclass(frozen=True, slots=True)
class UnplacedReplicas:
    """Replicas of a version for which the scheduler finds no node: how many, since when (the first of them) and what it
    says; and how many of the version have a node."""

    waiting: int
    placed: int
    since: datetime
    said: str


@dataclass(frozen=True, slots=True)
class StuckPod:
    """A pod that does not take requests, and why."""

    name: str
    labels: frozenset[tuple[str, str]]
    trouble: PodTrouble


def rollout_of(obj: Manifest) -> Rollout:
    """Return the facts of a Deployment."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    annotations = metadata.get("annotations") or {}
    said = {(c["type"], c["status"]): (c.get("reason", ""), c.get("message", "")) for c in status.get("conditions", ())}
    return Rollout(
        name=metadata["name"],
        generation=metadata.get("generation", 1),
        observed=status.get("observedGeneration"),
        wanted=spec.get("replicas", 1),
        existing=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        available=status.get("availableReplicas", 0),
        settled=said.get(("Progressing", "True"), ("", ""))[0] == "NewReplicaSetAvailable",
        progressing=said.get(("Progressing", "False")),
        refused=said.get(("ReplicaFailure", "True")),
        digest=annotations.get(names.DIGEST, ""),
        figures=annotations.get(names.FIGURES, ""),
    )


def unplaced_replicas(pods: Iterable[PodState]) -> dict[tuple[str, str], UnplacedReplicas]:
    """Return what finds no node among the pods of a namespace, by model and version as the manager labels them."""
    staying = [pod for pod in pods if not pod.leaving and not pod.ended]
    found: dict[tuple[str, str], UnplacedReplicas] = {}
    for pair in sorted({_version_of(pod) for pod in staying if _waits_since(pod)}):
        here = [pod for pod in staying if _version_of(pod) == pair]
        waits = sorted((since, pod.trouble.said) for pod in here if (since := _waits_since(pod)) and pod.trouble)
        found[pair] = UnplacedReplicas(len(waits), len(here) - len(waits), *waits[0])
    return {pair: replicas for pair, replicas in found.items() if all(pair)}


def _version_of(pod: PodState) -> tuple[str, str]:
    labels = dict(pod.labels)
    return labels.get(names.MODEL, ""), labels.get(names.VERSION, "")


def _waits_since(pod: PodState) -> datetime | None:
    """Return since when a pod waits for a node; None for any other."""
    return pod.trouble.since if pod.trouble and pod.trouble.reason == UNSCHEDULABLE else None


def grace_ends(unplaced: Mapping[tuple[str, str, str], UnplacedReplicas], now: datetime) -> float | None:
    """Return in how many seconds the next replicas have looked for a node long enough to count; None without any."""
    left = (one.since + NODE_GRACE - now for one in unplaced.values())
    return min((seconds for one in left if (seconds := one.total_seconds()) > 0), default=None)
