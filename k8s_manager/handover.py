"""Handover from one version to another: requests leave a version that serves only for one that can. Pure.

Where no version with traffic has a warm replica, the model is taken as if its document still sent the requests to those
that had them: a version that it no longer has, or that it gives none any more. Everything follows from that document:
routes, subsets, gates, the limit.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from istio_templates.documents import ModelSpec
from istio_templates.documents.model import Existing, TrafficShare, Version
from istio_templates.facts import Manifest
from k8s_manager.claims import workload_labels
from k8s_manager.facts_of import version_labels
from k8s_manager.splitting import declared, split


@dataclass(frozen=True, slots=True)
class Departed:
    """A version that has a Deployment and is none of its document; when it was made, and whether a replica is ready."""

    version: str
    ready: bool
    created: str


def effective(
    model: str, spec: ModelSpec, warm: Collection[str], departed: Sequence[Departed], live: Mapping[str, int]
) -> ModelSpec | None:
    """Return the spec to go by in place of `spec`; None where `spec` holds.

    `warm` are the versions of the document with warm replicas, `live` the weights by which requests go now.
    """
    coming = [version for version in spec.versions if declared(spec).get(version.name)]
    if spec.attach_to or spec.paused or any(version.name in warm for version in coming):
        return None
    if all(_may_be_empty(version) for version in coming):
        return None
    weights = _weights(live, {*warm, *(gone.version for gone in departed if gone.ready)}, departed)
    known = {version.name for version in spec.versions}
    added = tuple(_found(model, version) for version in weights if version not in known)
    versions = (*spec.versions, *added)
    if not weights or not set.intersection(*(set(version_labels(model, version)) for version in versions)):
        return None
    shares = {**dict.fromkeys(declared(spec), 0), **weights}
    traffic = tuple(TrafficShare(version=version, weight=weight) for version, weight in shares.items())
    return spec.model_copy(update={"versions": versions, "traffic": traffic})


def sentence(spec: ModelSpec, instead: ModelSpec) -> str:
    """Return what a model is told that waits so."""
    to = ", ".join(version for version, weight in declared(spec).items() if weight)
    of = ", ".join(version for version, weight in declared(instead).items() if weight)
    return (
        f"version {to} has no warm replica yet; {of} serves until it has one. "
        f"Where {of} takes the room that {to} needs, pause the model, or say acceptOutage"
    )


def _weights(live: Mapping[str, int], serving: Collection[str], departed: Sequence[Departed]) -> dict[str, int]:
    """Return the weights of those that have requests and can serve, or else all for the newest that departed."""
    if kept := {version: weight for version, weight in live.items() if weight and version in serving}:
        return {version: weight for version, weight in split(live, kept).items() if version in kept}
    ready = [gone for gone in departed if gone.ready]
    return {max(ready, key=lambda gone: (gone.created, gone.version)).version: 100} if ready else {}


def _found(model: str, version: str) -> Version:
    return Version(name=version, existing=Existing(labels=dict(workload_labels(model, version))))


def _may_be_empty(version: Version) -> bool:
    workload = version.workload
    return workload is not None and (workload.accept_outage or workload.replicas == 0)


def weights_of(virtual_service: Manifest | None) -> dict[str, int]:
    """Return the weights by which a VirtualService sends requests to versions."""
    rules = ((virtual_service or {}).get("spec") or {}).get("http") or [{}]
    return {route["destination"].get("subset", ""): route.get("weight", 100) for route in rules[0].get("route") or []}
