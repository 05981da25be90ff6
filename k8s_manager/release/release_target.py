"""Models with a rollout, with what a decision needs to know of each beside its requests. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from istio_templates import names
from istio_templates.documents import ModelSpec
from istio_templates.documents.model import Version
from istio_templates.documents.rollouts.release_time import ReleaseFreeze
from istio_templates.documents.rollouts.rollout_check import RolloutCheck
from istio_templates.facts import GatewayPool, ServedModel
from k8s_manager.pipeline.plan import Plan
from k8s_manager.release.decision.observation import ReleaseAction, VersionCapacity
from k8s_manager.release.decision.rules import ReleaseRules
from k8s_manager.release.document_rules import release_rules
from k8s_manager.release.release_request import action_in
from k8s_manager.release.release_times import ANY_TIME, ReleaseTimes, release_times
from k8s_manager.runtime.control_loop import each
from k8s_manager.traffic.release_record import ReleaseRecord, record_in
from k8s_manager.world.world import World


class ModelPlace(NamedTuple):
    """Namespace and name of a model."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ReleaseTarget:
    """A model with a rollout: its rules, the version at which its document points, the weights in the cluster, and the
    replicas of each version. `queries` are those of its `checks` by name, `silent` is a gateway that logs no requests,
    `action` is what an operator asks for, `times` when steps may begin, `node_pool` the labels of the nodes for pods of
    its checks (None: any). Requests come through `gateways` to `ports`. `record` is what outlives a status."""

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
    checks: tuple[RolloutCheck, ...] = ()
    node_pool: Mapping[str, str] | None = None
    gateways: tuple[GatewayPool, ...] = ()
    record: ReleaseRecord | None = None
    ports: frozenset[int] = frozenset()


def release_targets(stored: World, world: World, plan: Plan) -> dict[ModelPlace, ReleaseTarget]:
    """Return the accepted models with a rollout. `stored` has the documents as they are written, `world` those to go
    by while versions take over from each other."""
    found = {
        ModelPlace(model.key.namespace, model.key.name): model
        for model in stored.models
        if model.spec and model.spec.rollout and not model.spec.paused
    }
    models = {
        place: model for place, model in found.items() if place in plan.models and place not in plan.frozen_models
    }
    frozen = _freezes(stored) if models else {}
    tenants = {tenant.key.name: tenant.spec for tenant in stored.tenants if tenant.spec} if models else {}

    def target(place: ModelPlace) -> ReleaseTarget:
        model, served = models[place], plan.models[place]
        assert model.spec is not None and model.spec.rollout is not None
        rollout = model.spec.rollout
        tenant = tenants.get(served.tenant.name)
        pool = next(iter(tenant.pods.node_pools or ()), None) if tenant else None
        owners = (("Tenant", served.tenant.name), *(("InferenceGateway", pool.name) for pool in served.tenant.gateways))
        freezes = [freeze for owner in dict.fromkeys(owners) for freeze in frozen.get(owner, ())]
        times = release_times(rollout.windows, freezes, rollout.low_traffic)
        found = _target(world, served, model.spec, place)
        action, record = action_in(model.release_request), record_in(model.release_record)
        return replace(found, action=action, times=times, node_pool=pool, record=record)

    return each("releases", models, target)


def _freezes(stored: World) -> dict[tuple[str, str], tuple[ReleaseFreeze, ...]]:
    """Return the freezes by kind and name of the document that has them."""
    tenants = {("Tenant", found.key.name): found.spec.freezes for found in stored.tenants if found.spec}
    return tenants | {
        ("InferenceGateway", found.key.name): found.spec.freezes for found in stored.gateways if found.spec
    }


def _target(world: World, served: ServedModel, spec: ModelSpec, place: ModelPlace) -> ReleaseTarget:
    assert spec.rollout is not None
    queries = {check.name: check.prometheus for check in spec.rollout.checks if check.prometheus is not None}
    versions = {version.name: _replicas(world, spec, place, version) for version in spec.versions}
    departed = {name: _found(world, place, name) for name in world.departed.get(place, ()) if name not in versions}
    return ReleaseTarget(
        place=place,
        tenant=served.tenant.name,
        rules=release_rules(spec, spec.rollout),
        wanted=spec.target,
        live=dict(world.routing.weights.get(place, {})),
        versions={**versions, **departed},
        queries=queries,
        checks=spec.rollout.checks,
        silent=next(iter(served.tenant.silent_gateways), None),
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
