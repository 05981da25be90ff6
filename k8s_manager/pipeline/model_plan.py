"""Plan of models and of their limits. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from istio_templates import names
from istio_templates.documents import ModelSpec, WarmupPlanSpec
from istio_templates.documents.arms.traffic_match import TrafficMatch
from istio_templates.documents.tenant import TenantRateLimit
from istio_templates.facts import KedaFacts, LimitKey, ObjectKey, ServedModel, Tenancy
from k8s_manager.admission.host_delegation import unserved_delegation
from k8s_manager.admission.rules import warmup_rules
from k8s_manager.pipeline import facts
from k8s_manager.pipeline.plan_inputs import PlanInputs
from k8s_manager.runtime.memo import Memo
from k8s_manager.traffic.weights import can_be_split, carried, declared, split
from k8s_manager.world.owner import Owner
from k8s_manager.world.world import Stored
from ratelimiter.overrides import Override
from ratelimiter.target import Terms
from warmup.plans.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Limited:
    """A limit of a whole model or of one version: its terms, its document, and all overrides that match it, ended ones
    included."""

    terms: Terms
    spec: ModelSpec
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """The models by (namespace, name), their limits by identity, and what keeps others back."""

    models: Mapping[tuple[str, str], ServedModel]
    limits: Mapping[LimitKey, Limited]
    waiting: Mapping[ObjectKey, str]
    frozen: frozenset[Owner]
    frozen_models: frozenset[tuple[str, str]]


def plan_models(inputs: PlanInputs, tenants: Mapping[str, Tenancy], memo: Memo) -> ModelPlan:
    """Return the models that should be served, with the weights by which their warm versions get requests."""
    models: dict[tuple[str, str], ServedModel] = {}
    limits: dict[LimitKey, Limited] = {}
    waiting: dict[ObjectKey, str] = {}
    frozen: set[Owner] = set()
    frozen_models = set()
    homes = {tenancy.namespace: tenancy for tenancy in tenants.values()}
    ceilings = {stored.key.name: stored.spec.rate_limit for stored in inputs.tenants if stored.spec}
    plans = _warmup_plans(inputs)
    for stored in inputs.models:
        key = (stored.key.namespace, stored.key.name)
        tenant, spec = homes.get(key[0]), inputs.accepted(stored)
        if stored.deleting:
            continue
        if spec is None or tenant is None:
            frozen.add(("", inputs.tenant_of(key[0]), key[1]))
            frozen_models.add(key)
            continue
        message = f"{key[1]} is paused: {spec.paused}" if spec.paused else inputs.closed.get(identity_of(stored))
        bundle = warmup_rules.bundle_of(key, spec, plans, inputs.files)
        holding = _weights(key, spec, inputs), _matches(key, spec, inputs)
        arguments = (spec, message, ceilings.get(tenant.name), bundle, holding, inputs.keda)
        made = memo.get(stored.key, (tenant, *arguments), partial(_model_facts, tenant, key[1], *arguments))
        models[key] = made[0]
        limits.update((limited.terms.identity, limited) for limited in made[1])
        if apart := unserved_delegation(spec, tenant):
            waiting[stored.key] = apart
    return ModelPlan(models, limits, waiting, frozenset(frozen), frozenset(frozen_models))


def identity_of(stored: Stored) -> LimitKey:
    """Return the identity of the VirtualService that routes for a model, as far as its document can be read."""
    if isinstance(stored.spec, ModelSpec):
        return facts.identity_of(stored.key.namespace, stored.key.name, stored.spec)
    return names.identity(stored.key.namespace, stored.key.name)


def _model_facts(
    tenant: Tenancy,
    name: str,
    spec: ModelSpec,
    closed: str | None,
    limit: TenantRateLimit | None,
    bundle: Bundle | None,
    holding: tuple[Mapping[str, int] | None, tuple[TrafficMatch, ...]],
    keda: KedaFacts,
) -> tuple[ServedModel, tuple[Limited, ...]]:
    terms = facts.terms(tenant, name, spec, limit.ceiling if limit else None)
    weights, matches = holding
    served = facts.served(tenant, name, spec, closed, bundle, weights, keda, matches)
    return served, tuple(Limited(one, spec) for one in terms)


def _weights(key: tuple[str, str], spec: ModelSpec, inputs: PlanInputs) -> Mapping[str, int] | None:
    """Return the weights in force, capped to versions with warm replicas; None where they are the document's."""
    return split(declared(spec), _warm(key, spec, inputs)) if can_be_split(spec) else None


def _matches(key: tuple[str, str], spec: ModelSpec, inputs: PlanInputs) -> tuple[TrafficMatch, ...]:
    return carried(spec, _warm(key, spec, inputs)) if spec.traffic_matches else ()


def _warm(key: tuple[str, str], spec: ModelSpec, inputs: PlanInputs) -> list[str]:
    return [version.name for version in spec.versions if (*key, version.name) in inputs.warm]


def _warmup_plans(inputs: PlanInputs) -> dict[tuple[str, str], WarmupPlanSpec]:
    accepted = ((stored.key, inputs.accepted(stored)) for stored in inputs.warmup_plans)
    return {(key.namespace, key.name): spec for key, spec in accepted if spec}
