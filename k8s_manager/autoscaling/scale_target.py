"""Versions whose replicas Tidegate decides, with what a decision needs to know of each. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from istio_templates import names
from istio_templates.documents import ModelSpec
from istio_templates.documents.autoscale import VersionAutoscale
from istio_templates.documents.fields import exact
from istio_templates.documents.model import Version
from istio_templates.facts import Manifest, Pairs, ServedModel
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.control_loop import each
from k8s_manager.world.rollout import UnplacedReplicas
from k8s_manager.world.world import World
from ratelimiter.autoscaler import Scaler


class VersionKey(NamedTuple):
    """Namespace, model and version."""

    namespace: str
    model: str
    version: str

    def __str__(self) -> str:
        return f"version {self.version} of {self.namespace}/{self.model}"


@dataclass(frozen=True, slots=True)
class ScaleTarget:
    """A version with `autoscale`. `per_replica` are the requests/s of one replica, None where no document says them;
    `share` is its part of the model's requests; `labels` select its pods. `replicas` are those that its `deployment`
    asks for (None: there is none yet), of which `existing` are there and `warm` serve; each is made from `template`.
    `foreign` is an autoscaler of another owner on the Deployment; `silent` are its gateways that log no requests, so
    that nothing counts them. `lacking` is the kind that its writer needs and the cluster has not; `unplaced` are
    replicas that find no node. `has_matches`: some requests of its model go by matches, past the weights."""

    key: VersionKey
    tenant: str
    document: VersionAutoscale
    per_replica: Fraction | None
    share: Fraction
    labels: Pairs
    deployment: str
    replicas: int | None
    warm: int
    releasing: bool
    existing: int
    template: Manifest
    foreign: Scaler | None = None
    silent: tuple[str, ...] = ()
    lacking: str | None = None
    unplaced: UnplacedReplicas | None = None
    has_matches: bool = False


def scale_targets(world: World, plan: Plan) -> dict[VersionKey, ScaleTarget]:
    """Return the versions of accepted models that have `autoscale`."""
    found = {_key(served, version): (served, spec, version) for served, spec, version in _scaled_versions(world, plan)}
    return each("autoscaling", found, lambda key: _scaled(world, key, *found[key]))


def _scaled_versions(world: World, plan: Plan) -> Iterator[tuple[ServedModel, ModelSpec, Version]]:
    for stored in world.models:
        place = (stored.key.namespace, stored.key.name)
        served = plan.models.get(place)
        if served is None or place in plan.frozen_models or not isinstance(stored.spec, ModelSpec):
            continue
        for version in stored.spec.versions:
            if version.autoscale:
                yield served, stored.spec, version


def _key(served: ServedModel, version: Version) -> VersionKey:
    return VersionKey(served.tenant.namespace, served.name, version.name)


def _scaled(world: World, key: VersionKey, served: ServedModel, spec: ModelSpec, version: Version) -> ScaleTarget:
    document = version.autoscale
    assert document is not None
    found = next(facts for facts in served.versions if facts.name == version.name)
    deployment = names.deployment(served.name, version.name)
    rollout = world.rollouts.get((key.namespace, deployment))
    rate = spec.figure_of(version)
    weights: Mapping[str, int] = {facts.name: facts.weight for facts in served.versions}
    moving = (key.namespace, key.model) in world.handovers or (key.namespace, key.model) in world.departed
    return ScaleTarget(
        key=key,
        tenant=served.tenant.name,
        document=document,
        per_replica=None if rate is None else exact(rate),
        share=Fraction(weights[version.name], sum(weights.values()) or 1),
        labels=found.labels,
        deployment=deployment,
        replicas=rollout.wanted if rollout else None,
        warm=world.ready.get(key, 0),
        releasing=moving or (rollout is not None and rollout.existing > rollout.updated),
        existing=rollout.existing if rollout else 0,
        template=found.pods.template if found.pods else {},
        foreign=world.scalers.get((key.namespace, deployment)),
        silent=served.tenant.silent_gateways,
        lacking="ScaledObject" if document.writer == "keda" and "ScaledObject" in world.absent else None,
        unplaced=world.unplaced.get(key),
        has_matches=bool(spec.traffic_matches),
    )
