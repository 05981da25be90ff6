"""Models with a rollout, with what a decision needs to know of each beside its requests. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from istio_templates import names
from istio_templates.documents import ModelSpec
from istio_templates.documents.model import Version
from istio_templates.facts import GatewayPool, ServedModel
from k8s_manager.pipeline.plan import Plan
from k8s_manager.release.decision.observation import ReleaseAction, VersionCapacity
from k8s_manager.release.decision.rules import ReleaseRules
from k8s_manager.release.document_rules import release_rules, target_version
from k8s_manager.release.release_request import action_in
from k8s_manager.release.release_times import ANY_TIME, ReleaseTimes, release_times
from k8s_manager.world.world import World


class ModelPlace(NamedTuple):
    """Namespace and name of a model."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ReleaseTarget:
    """A model with a rollout: its rules, the version at which its document points, the weights in the cluster, and the
    replicas of each version. `queries` are those of its checks by name, `silent` is a gateway that logs no requests,
    `action` is what an operator asks for, `times` when steps may begin. Requests come through `gateways` to `ports`."""

    place: ModelPlace
    tenant: str
    rules: ReleaseRules
    wanted: str
    live: Mapping[str, int]
    versions: Mapping[str, VersionCapacity]
    queries: Mapping[str, str]
    silent: str | None = None
    action: ReleaseAction | None = None
    times: ReleaseTimes = ANY_TIME
    gateways: tuple[GatewayPool, ...] = ()
    ports: frozenset[int] = frozenset()


def release_targets(stored: World, world: World, plan: Plan) -> Iterator[ReleaseTarget]:
    """Yield the accepted models with a rollout. `stored` has the documents as they are written, `world` those to go
    by while versions take over from each other."""
    models = [found for found in stored.models if found.spec and found.spec.rollout]
    tenants = {found.key.name: found.spec for found in stored.tenants if found.spec} if models else {}
    for found in models:
        spec, place = found.spec, ModelPlace(found.key.namespace, found.key.name)
        served = plan.models.get(place)
        if spec is None or spec.rollout is None or spec.paused or served is None or place in plan.frozen_models:
            continue
        tenant = tenants.get(served.tenant.name)
        times = release_times(spec.rollout.windows, tenant.freezes if tenant else ())
        target = _target(world, served, spec, place)
        yield replace(target, action=action_in(found.release_request), times=times)


def _target(world: World, served: ServedModel, spec: ModelSpec, place: ModelPlace) -> ReleaseTarget:
    assert spec.rollout is not None
    queries = {check.name: check.prometheus for check in spec.rollout.checks if check.prometheus is not None}
    versions = {version.name: _replicas(world, spec, place, version) for version in spec.versions}
    departed = {name: _found(world, place, name) for name in world.departed.get(place, ()) if name not in versions}
    return ReleaseTarget(
        place=place,
        tenant=served.tenant.name,
        rules=release_rules(spec, spec.rollout),
        wanted=target_version(spec),
        live=dict(world.routing.weights.get(place, {})),
        versions={**versions, **departed},
        queries=queries,
        silent=next((pool.name for pool in served.tenant.gateways if not pool.access_log), None),
        gateways=tuple(served.tenant.gateways),
        ports=frozenset(route.port for route in served.routes),
    )


def _replicas(world: World, spec: ModelSpec, place: ModelPlace, version: Version) -> VersionCapacity:
    found = _found(world, place, version.name)
    most = version.autoscale.max if version.autoscale else version.workload.replicas if version.workload else None
    return VersionCapacity(found.replicas, found.warm, spec.figure_of(version), most)


def _found(world: World, place: ModelPlace, version: str) -> VersionCapacity:
    """Return the replicas that there are of a version."""
    warm = world.ready.get((*place, version), 0)
    deployment = world.rollouts.get((place.namespace, names.deployment(place.name, version)))
    return VersionCapacity(deployment.wanted if deployment else warm, warm)
