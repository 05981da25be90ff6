"""Weights and mirrors of a model that is released step by step: those in its status, not in its document. Pure.

The status is written before the routes are: a manager that starts in the middle of a release goes on from there.
Where a status says nothing, requests stay where they go now, so that a document that names another version moves none
before the release begins. Where none go anywhere either, as in a cluster that was restored, the recorded stable version
gets them.
"""

from collections.abc import Collection, Mapping
from typing import Any

from istio_templates.documents import ModelSpec
from istio_templates.documents.model import TrafficShare
from istio_templates.facts import Manifest
from k8s_manager.traffic.release_record import ReleaseRecord
from k8s_manager.traffic.weights import declared
from k8s_manager.world.labels import departed_version


class MirroredShare(TrafficShare):
    """The share of a version that is also sent copies of `mirror` per cent of the requests; no document has it."""

    mirror: int


def released(
    model: str,
    spec: ModelSpec,
    status: Manifest,
    live: Mapping[str, int],
    deployed: Collection[str],
    record: ReleaseRecord | None = None,
) -> ModelSpec | None:
    """Return the spec to go by in place of `spec`; None where `spec` holds.

    `live` are the weights by which requests go now, `deployed` the versions that have a Deployment: a version that has
    left the document serves on as long as a release has requests there. `record` is what outlived the status.
    """
    if spec.rollout is None:
        return None
    known = [version.name for version in spec.versions]
    found = stated_weights(status) or live or ({record.stable: 100} if record else {})
    weights = _of_known(found, {*known, *deployed})
    copies = stated_mirror(status) if weights else {}
    copies = {version: share for version, share in copies.items() if version in known and version not in weights}
    if not weights or (not copies and weights == {name: weight for name, weight in declared(spec).items() if weight}):
        return None
    departed = tuple(departed_version(model, version) for version in weights if version not in known)
    shares = {**dict.fromkeys((*declared(spec), *copies), 0), **weights}
    traffic = tuple(_traffic(version, weight, copies.get(version, 0)) for version, weight in shares.items())
    return spec.model_copy(update={"versions": (*spec.versions, *departed), "traffic": traffic})


def mirrored(spec: ModelSpec) -> dict[str, int]:
    """Return the per cent of requests of which versions are sent copies, in the spec to go by."""
    return {share.version: share.mirror for share in spec.traffic if isinstance(share, MirroredShare)}


def stated_mirror(status: Manifest) -> dict[str, int]:
    """Return the version to which requests are mirrored by `status.rollout`, and their per cent; empty for none."""
    rollout = status.get("rollout")
    if not isinstance(rollout, dict):
        return {}
    version, share = _share({"version": rollout.get("version"), "weight": rollout.get("mirror")})
    return {version: share} if share else {}


def stated_weights(status: Manifest) -> dict[str, int]:
    """Return the weights in `status.rollout`; none where there are none, or others have written something else."""
    rollout = status.get("rollout")
    found = rollout.get("weights") if isinstance(rollout, dict) else None
    weights = dict(map(_share, found)) if isinstance(found, list) else {}
    return weights if sum(weights.values()) == 100 and all(weights.values()) else {}


def _traffic(version: str, weight: int, mirror: int) -> TrafficShare:
    if mirror:
        return MirroredShare(version=version, weight=weight, mirror=mirror)
    return TrafficShare(version=version, weight=weight)


def _share(found: Any) -> tuple[str, int]:
    """Return a version and its weight; a weight of 0 for what is neither."""
    if not isinstance(found, dict):
        return "", 0
    version, weight = found.get("version"), found.get("weight")
    fits = isinstance(version, str) and type(weight) is int and 0 < weight <= 100
    return (version, weight) if fits else ("", 0)  # type: ignore[return-value]


def _of_known(weights: Mapping[str, int], known: Collection[str]) -> dict[str, int]:
    """Return the weights if all versions that have one are there; else none."""
    carrying = {version: weight for version, weight in weights.items() if weight}
    return carrying if carrying.keys() <= set(known) else {}
