"""How an attached VirtualService or HTTPRoute splits its requests over the versions of a model. Pure.

Its owner moves weights, subsets and destinations (Argo Rollouts and Flagger at each step), and the limit has to follow
within a pass. The document's traffic is the fallback where destinations cannot be mapped by the pods behind them.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from istio_templates.documents import ModelSpec
from istio_templates.documents.model import TrafficShare, Version
from k8s_manager.traffic.weights import declared, split
from k8s_manager.world.labels import ROLLOUT_HASH
from k8s_manager.world.world import Destination, Splits

T = TypeVar("T")
FALLBACK = "its traffic is taken from the document"


@dataclass(frozen=True, slots=True)
class ObservedTraffic:
    """The spec to go by in place of the document's (None where that holds), and why it could not be read, if so."""

    spec: ModelSpec | None = None
    problem: str | None = None


def observed_traffic(spec: ModelSpec, splits: Splits) -> ObservedTraffic:
    """Return the traffic of an attached model as its route has it, and of its versions the pods that the route reaches:
    at the end of a rollout the old pods still carry the labels of the new ones."""
    assert spec.attach_to is not None
    found: set[tuple[tuple[str, int], ...]] = set()
    behind: dict[str, set[frozenset[tuple[str, str]] | None]] = defaultdict(set)
    for destinations in splits:
        weights = dict.fromkeys(declared(spec), 0) | {version.name: 0 for version in spec.versions}
        for destination in destinations:
            version = _version_of(destination, spec.versions)
            if version is None:
                return ObservedTraffic(problem=_unmapped(spec, destination))
            weights[version.name] += destination.weight
            behind[version.name].add(destination.labels)
        found.add(tuple(split(weights, list(weights)).items()))
    if len(found) > 1:
        return ObservedTraffic(problem=_uneven(spec))
    shares: dict[str, int] = dict(*found)
    versions = tuple(_reached(version, behind[version.name]) for version in spec.versions)
    if not found or (shares == {**dict.fromkeys(shares, 0), **declared(spec)} and versions == spec.versions):
        return ObservedTraffic()
    traffic = tuple(TrafficShare(version=version, weight=weight) for version, weight in shares.items())
    return ObservedTraffic(spec.model_copy(update={"traffic": traffic, "versions": versions}))


def _reached(version: Version, behind: set[frozenset[tuple[str, str]] | None]) -> Version:
    """Return a version as the pods that its only destination selects; as it is where it has several."""
    labels = _only(behind)
    if labels is None or version.existing is None or labels <= _labels(version):
        return version
    existing = version.existing.model_copy(update={"labels": dict(labels)})
    return version.model_copy(update={"existing": existing})


def _version_of(destination: Destination, versions: tuple[Version, ...]) -> Version | None:
    """Return the version to which a destination's pods belong, as its labels, its pods or else its names say."""
    if destination.labels is None:
        return versions[0] if len(versions) == 1 else _only(v for v in versions if _is_named_after(destination, v.name))
    selected = {version.name: _labels(version) for version in versions}
    within = [version for version in versions if selected[version.name] <= destination.labels]
    narrowest = max((len(selected[version.name]) for version in within), default=0)
    if found := _only(version for version in within if len(selected[version.name]) == narrowest):
        return found
    if ROLLOUT_HASH in dict(destination.labels):
        # Pods of one generation, which get another role one by one when it is promoted.
        return next((v for v in versions if any(selected[v.name] <= pod for pod in destination.pods)), None)
    if destination.pods:
        return _only(v for v in versions if all(selected[v.name] <= pod for pod in destination.pods))
    return _only(version for version in versions if destination.labels <= selected[version.name])


def _labels(version: Version) -> frozenset[tuple[str, str]]:
    return frozenset(version.existing.labels.items() if version.existing else ())


def _is_named_after(destination: Destination, version: str) -> bool:
    """Tell whether a destination of which no Service is known has the name of a version, as importers give it; another
    kind than a Service stands before the name."""
    name = destination.host.rpartition(" ")[2].partition(".")[0]
    return version in (destination.subset, name) or name.endswith(f"-{version}")


def _only(found: Iterable[T]) -> T | None:
    listed = list(found)
    return listed[0] if len(listed) == 1 else None


def _unmapped(spec: ModelSpec, destination: Destination) -> str:
    remedy = "give a version the labels of those pods"
    if ROLLOUT_HASH in dict(destination.labels or ()):
        remedy = f"{remedy}, which their Rollout gives them by stableMetadata and canaryMetadata"
    return (
        f"{spec.attach_to} sends {destination.weight} of its weights to {destination}, "
        f"whose pods are not those of one version, so {FALLBACK}; {remedy}"
    )


def _uneven(spec: ModelSpec) -> str:
    return (
        f"the routes of {spec.attach_to} split requests in different ways, so "
        f"{FALLBACK}; give it one split, or spec.traffic what both together come to"
    )
