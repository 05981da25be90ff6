"""Models of Tidegate whose Deployments an autoscaler of another owner scales, with `autoscale` in its place.

A version has `autoscale` where Tidegate runs its pods. For Deployments of other owners, the autoscaler stays: a note
says what it would be.
"""

import copy
import json
from collections.abc import Iterator

from collectors.autoscalers import deployment_of, scaled_object_of
from istio_templates import names
from istio_templates.facts import Manifest
from k8s_manager.importers.autoscale.hpa_terms import hpa_terms
from k8s_manager.importers.autoscale.keda_terms import keda_terms
from k8s_manager.importers.cluster_objects import ExistingObjects, items, namespace_of, part
from k8s_manager.importers.proposal import Proposal

_DEMAND = {"name": "demand", "target": "80%"}
_PLURALS = {"HorizontalPodAutoscaler": "horizontalpodautoscaler", "ScaledObject": "scaledobject.keda.sh"}
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def propose(seen: ExistingObjects, proposal: Proposal) -> None:
    """Propose the models again that were read, with `autoscale` where another autoscaler scales a version."""
    scaled: dict[tuple[str, str], str] = {}
    models = [_bare(model) for model in seen.all("Model")]
    for scaler in (*seen.all("ScaledObject"), *seen.all("HorizontalPodAutoscaler")):
        if scaled_object_of({"metadata": {"ownerReferences": items(scaler["metadata"], "ownerReferences")}}):
            continue  # KEDA's own
        place = (namespace_of(scaler), deployment := _deployment(scaler))
        if not deployment:
            target = part(part(scaler, "spec"), "scaleTargetRef")
            proposal.note(
                scaler, "spec.scaleTargetRef", f"scales {target.get('kind')} {target.get('name')}, which stays"
            )
        elif place in scaled:
            proposal.note(scaler, "", f"scales Deployment {deployment} as {scaled[place]} does; delete one of them")
        else:
            scaled[place] = f"{scaler['kind']} {scaler['metadata']['name']}"
            _one(scaler, deployment, models, proposal)


def _deployment(scaler: Manifest) -> str:
    target = part(part(scaler, "spec"), "scaleTargetRef")
    if scaler["kind"] == "ScaledObject":
        return str(target.get("name") or "") if target.get("kind", "Deployment") == "Deployment" else ""
    return deployment_of({"spec": {"scaleTargetRef": target}}) or ""


def _one(scaler: Manifest, deployment: str, models: list[Manifest], proposal: Proposal) -> None:
    terms = keda_terms(scaler, proposal) if scaler["kind"] == "ScaledObject" else hpa_terms(scaler, proposal)
    if terms["max"] < 1 or terms["min"] > terms["max"]:
        proposal.note(scaler, "spec", f"from {terms['min']} to {terms['max']} replicas are no bounds; correct them")
        return
    found = next(_versions(namespace_of(scaler), deployment, models), None)
    if found is None:
        said = f"stays, as do the pods of Deployment {deployment}: a limit follows its ready pods"
        flow = json.dumps(terms)
        proposal.note(scaler, "", f"{said}. A version with a workload of Tidegate's would have autoscale: {flow}")
        return
    _put(scaler, *found, terms, proposal)


def _versions(namespace: str, deployment: str, models: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """Yield the model and version that a Deployment is of."""
    for model in models:
        for version in items(part(model, "spec"), "versions"):
            rendered = "workload" in version and names.deployment(model["metadata"]["name"], str(version.get("name")))
            if namespace_of(model) == namespace and rendered == deployment:
                yield model, version


def _put(scaler: Manifest, model: Manifest, version: Manifest, terms: Manifest, proposal: Proposal) -> None:
    """Propose a model with `autoscale` in one of its versions."""
    if "autoscale" in version:
        proposal.note(scaler, "", f"scales a version that has autoscale already; delete it: {_deletion(scaler)}")
        return
    limit = part(part(model, "spec"), "rateLimit")
    autoscale = _in_model(scaler, terms, limit, "perReplicaQps" in {**limit, **version}, proposal)
    if not autoscale["signals"]:
        said = "has no counterpart among the signals; give perReplicaQps, or a signal with a prometheus query"
        proposal.note(scaler, "", f"is not proposed as autoscale: it {said}")
        return
    said = "has to go first, as one writer of replicas at a time is allowed; the replicas that run stay"
    proposal.note(scaler, "", f"{said}: {_deletion(scaler)}")
    if replicas := part(version, "workload").pop("replicas", None):
        said = f"workload.replicas: {replicas} of version {version.get('name')} is left out: autoscale says how many"
        proposal.note(model, "spec.versions", said)
    version["autoscale"] = autoscale
    proposal.change(model)


def _in_model(scaler: Manifest, terms: Manifest, limit: Manifest, has_rate: bool, proposal: Proposal) -> Manifest:
    """Return `autoscale` as a model can have it: it sees refusals, and comes from 0 only where its callers are
    answered."""
    signals = [*([_DEMAND] if has_rate else []), *terms["signals"]]
    if has_rate:
        proposal.note(scaler, "", "the signal demand is added, which sees requests that are refused")
    wakes = any("prometheus" in signal or signal["name"] == "demand" for signal in signals)
    if terms["min"] == 0 and not (wakes and part(limit, "fallback").get("cold") == "closed"):
        said = "0 needs rateLimit.fallback.cold: closed and a signal that wakes it; min 1 is proposed"
        proposal.note(scaler, "spec.minReplicaCount", said)
        terms = {**terms, "min": 1}
    return {**terms, "signals": signals, "writer": "tidegate"}


def _bare(model: Manifest) -> Manifest:
    """Return a document as a person writes it, without what a cluster has added."""
    metadata = model["metadata"]
    annotations = {key: value for key, value in part(metadata, "annotations").items() if key != _LAST_APPLIED}
    kept = {"name": metadata["name"], "namespace": namespace_of(model)}
    more = {"labels": part(metadata, "labels"), "annotations": annotations}
    return {
        "apiVersion": model["apiVersion"],
        "kind": model["kind"],
        "metadata": {**kept, **{field: found for field, found in more.items() if found}},
        "spec": copy.deepcopy(part(model, "spec")),
    }


def _deletion(scaler: Manifest) -> str:
    return f"kubectl delete {_PLURALS[scaler['kind']]} {scaler['metadata']['name']} -n {namespace_of(scaler)}"
