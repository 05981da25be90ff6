"""What Kubernetes says of a Deployment that the manager owns, and of the pods that do not start. Pure."""

from dataclasses import dataclass

from collectors.pod_trouble import PodTrouble
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
