"""Handover from one version to another: requests leave a version that serves only for one that can. Pure.

Where no version with traffic has a warm replica, the model is taken as if its document still sent the requests to those
that had them: a version that it gives none any more, or one that it no longer has (which serves until enough replicas
of the new one are warm). Everything follows from that document: routes, subsets, gates, the limit.
"""

from collections.abc import Mapping, Sequence

from istio_templates.documents import ModelSpec
from istio_templates.documents.model import TrafficShare, Version
from k8s_manager.traffic.weights import declared, split
from k8s_manager.world.labels import departed_version, version_labels
from k8s_manager.world.world import Deployed


def effective(
    model: str, spec: ModelSpec, warm: Mapping[str, int], deployed: Sequence[Deployed], live: Mapping[str, int]
) -> ModelSpec | None:
    """Return the spec to go by in place of `spec`; None where `spec` holds.

    `warm` counts the warm replicas of the document's versions, `live` are the weights by which requests go now.
    """
    known = {version.name for version in spec.versions}
    departed = [found for found in deployed if found.version not in known]
    idle = {found.version for found in deployed if not found.wanted}
    wanted = declared(spec)
    coming = [version for version in spec.versions if wanted.get(version.name)]
    if spec.attach_to or spec.paused or _can_serve(coming, warm, departed, live):
        return None
    if all(_may_be_empty(version) or version.name in idle for version in coming):
        return None
    weights = _weights(wanted, warm, departed, live)
    added = tuple(departed_version(model, version) for version in weights if version not in known)
    versions = (*spec.versions, *added)
    if not weights or not set.intersection(*(set(version_labels(model, version)) for version in versions)):
        return None
    shares = {**dict.fromkeys(wanted, 0), **weights}
    traffic = tuple(TrafficShare(version=version, weight=weight) for version, weight in shares.items())
    return spec.model_copy(update={"versions": versions, "traffic": traffic})


def handover_message(spec: ModelSpec, instead: ModelSpec) -> str:
    """Return the message of a model whose traffic waits in a handover."""
    to = ", ".join(version for version, weight in declared(spec).items() if weight)
    of = ", ".join(version for version, weight in declared(instead).items() if weight)
    return (
        f"version {to} has too few warm replicas, so version {of} still serves; wait, or, if {of} uses the resources "
        f"that {to} needs, pause the model or set acceptOutage"
    )


def _can_serve(
    coming: Sequence[Version], warm: Mapping[str, int], departed: Sequence[Deployed], live: Mapping[str, int]
) -> bool:
    """Tell whether requests go where the document says: as soon as a replica there is warm; but from a version that it
    no longer has, which cannot be given a share any more, only once as many are warm as the document asks for or as
    that one has."""
    if not any(warm.get(version.name) for version in coming):
        return False
    leaving = sum(gone.ready for gone in departed if live.get(gone.version))
    if any(live.get(version.name) for version in coming):
        return True
    return all(warm.get(version.name, 0) >= min(_wanted(version), leaving) for version in coming)


def _wanted(version: Version) -> int:
    return (version.workload.replicas if version.workload else None) or 1


def _weights(
    wanted: Mapping[str, int], warm: Mapping[str, int], departed: Sequence[Deployed], live: Mapping[str, int]
) -> dict[str, int]:
    """Return the weights of those that have requests and can serve, or else all for the newest that departed. Where no
    version can serve, weights that the document has set to 0 stay: the versions that had them may be back in a
    moment."""
    serving = {name for name, count in warm.items() if count} | {gone.version for gone in departed if gone.ready}
    if kept := {version: weight for version, weight in live.items() if weight and version in serving}:
        return {version: weight for version, weight in split(live, kept).items() if version in kept}
    if ready := [gone for gone in departed if gone.ready]:
        return {max(ready, key=lambda gone: (gone.created, gone.version)).version: 100}
    carrying = {version: weight for version, weight in live.items() if weight}
    return carrying if all(wanted.get(version) == 0 for version in carrying) else {}


def _may_be_empty(version: Version) -> bool:
    workload = version.workload
    return workload is not None and (workload.accept_outage or workload.replicas == 0)
