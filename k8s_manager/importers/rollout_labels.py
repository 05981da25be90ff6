"""Labels that last only until the next rollout, and the controllers that move weights. Pure.

A controller that replaces pods distinguishes their generations by labels of its own, such as the hash of a ReplicaSet,
and some write them into the selectors of Services or the subsets of DestinationRules. A model that counts pods by them
counts none after the next rollout.
"""

import re
from collections.abc import Iterable, Mapping

from istio_templates.facts import Manifest
from k8s_manager.importers.cluster_objects import items, part

ARGO = "Argo Rollouts"
FLAGGER = "Flagger"
KNATIVE = "Knative Serving"
_MANAGED_BY_ROLLOUTS = "argo-rollouts.argoproj.io/managed-by-rollouts"
_KNATIVE_ROUTE = "serving.knative.dev/route"
_WRITERS: Mapping[str, str] = {
    "rollouts-pod-template-hash": ARGO,
    "pod-template-hash": "a Deployment or Rollout",
    "pod-template-generation": "a DaemonSet",
    "controller-revision-hash": "a StatefulSet or DaemonSet",
    "statefulset.kubernetes.io/pod-name": "a StatefulSet",
    "apps.kubernetes.io/pod-index": "a StatefulSet",
    "apps.kruise.io/cloneset-instance-id": "an OpenKruise CloneSet",
    "leaderworkerset.sigs.k8s.io/template-revision-hash": "a LeaderWorkerSet",
    "leaderworkerset.sigs.k8s.io/group-index": "a LeaderWorkerSet",
    "leaderworkerset.sigs.k8s.io/group-key": "a LeaderWorkerSet",
    "controller-uid": "a Job",
    "job-name": "a Job",
    "batch.kubernetes.io/controller-uid": "a Job",
    "batch.kubernetes.io/job-name": "a Job",
    "batch.kubernetes.io/job-completion-index": "a Job",
}
_KNATIVE_GENERATION = re.compile(r"serving\.knative\.dev/(revision.*|configuration(Generation|UID)|serviceUID)")


def writer_of(label: str) -> str | None:
    """Return the controller that replaces this label of pods at each rollout; None for a label that lasts."""
    return _WRITERS.get(label) or (KNATIVE if _KNATIVE_GENERATION.fullmatch(label) else None)


def mover_of(route: Manifest, behind: Iterable[Manifest]) -> str | None:
    """Return the controller that moves the weights of a VirtualService, as far as its owner, the Services and
    DestinationRules `behind` it and their names tell."""
    if owner := _owner_of(route):
        return owner
    objects = list(behind)
    if any(_is_argos(obj) for obj in objects):
        return ARGO
    hosts = {obj["metadata"]["name"] for obj in objects if obj.get("kind") == "Service"}
    if any(host.endswith("-primary") and host.removesuffix("primary") + "canary" in hosts for host in hosts):
        return FLAGGER
    return None


def _owner_of(route: Manifest) -> str | None:
    for owner in items(route["metadata"], "ownerReferences"):
        group = str(owner.get("apiVersion", "")).partition("/")[0]
        if group == "flagger.app":
            return FLAGGER
        if group.endswith("knative.dev"):
            return KNATIVE
    return KNATIVE if _KNATIVE_ROUTE in part(route["metadata"], "labels") else None


def _is_argos(obj: Manifest) -> bool:
    spec = part(obj, "spec")
    chosen = [part(spec, "selector"), *(part(subset, "labels") for subset in items(spec, "subsets"))]
    return _MANAGED_BY_ROLLOUTS in part(obj["metadata"], "annotations") or any(
        writer_of(str(label)) == ARGO for labels in chosen for label in labels
    )
