"""Plan: from accepted documents to what should exist. Pure.

A document that is rejected keeps its last good objects: nothing of its owner is changed or removed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from istio_templates import names
from istio_templates.callers.access_facts import TenantAccess
from istio_templates.documents import InferenceGatewaySpec, TenantSpec
from istio_templates.documents.tenant import Drift
from istio_templates.facts import GatewayPool, LimitKey, Manifest, ObjectKey, ServedModel, Tenancy
from k8s_manager.admission.admit import AdmissionResult, Admitter
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.host_delegation import revoked_routes
from k8s_manager.admission.rules.warmup_rules import PlanChecks
from k8s_manager.callers.access_plan import AccessInputs, AccessPlanner
from k8s_manager.pipeline.model_plan import Limited, ModelPlan, plan_models
from k8s_manager.pipeline.override_plan import match_overrides, plan_overrides
from k8s_manager.pipeline.plan_inputs import PlanInputs, inputs_of
from k8s_manager.pipeline.tenant_plan import drift_policies, plan_gateways, plan_tenants
from k8s_manager.pipeline.termination import Terminating, terminating_documents
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.world.certificate import Uses
from k8s_manager.world.owner import Owner, owner_of
from k8s_manager.world.world import World
from ratelimiter.overrides import Override

Routes = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What should exist.

    `frozen` owners and `frozen_models` keep the objects that they have. `unmanaged_namespaces` exist and are used, but
    belong to other owners. `lifted` are the identities of models that have no limit for now. `override_matches` are
    the models of each override. `drift_policies` are those of tenants that do not have every foreign edit repaired.
    `certificates` are, by document, those that it serves, with their hosts. `revoked_routes` are the routes, as (host,
    path), that frozen models lose since they belong to another tenant now; `kept_hosts` those that they keep, as
    (namespace, host). `access` are the tenants, by name, whose callers gateways check.
    """

    pools: Mapping[str, GatewayPool] = field(default_factory=dict)
    tenants: Mapping[str, Tenancy] = field(default_factory=dict)
    dedicated: Mapping[str, InferenceGatewaySpec] = field(default_factory=dict)
    models: Mapping[tuple[str, str], ServedModel] = field(default_factory=dict)
    limits: Mapping[LimitKey, Limited] = field(default_factory=dict)
    admission: Mapping[ObjectKey, AdmissionResult] = field(default_factory=dict)
    waiting: Mapping[ObjectKey, str] = field(default_factory=dict)
    frozen: frozenset[Owner] = frozenset()
    frozen_models: frozenset[tuple[str, str]] = frozenset()
    unmanaged_namespaces: frozenset[str] = frozenset()
    terminating: tuple[Terminating, ...] = ()
    lifted: frozenset[LimitKey] = frozenset()
    overrides: Mapping[ObjectKey, Override] = field(default_factory=dict)
    override_matches: Mapping[ObjectKey, tuple[LimitKey, ...]] = field(default_factory=dict)
    drift_policies: Mapping[str, Drift] = field(default_factory=dict)
    certificates: Mapping[ObjectKey, Uses] = field(default_factory=dict)
    revoked_routes: Mapping[tuple[str, str], Routes] = field(default_factory=dict)
    kept_hosts: Routes = frozenset()
    access: Mapping[str, TenantAccess] = field(default_factory=dict)

    def policy_of(self, obj: Manifest) -> Drift:
        """Return the drift policy of an object's tenant."""
        return self.drift_policies.get(owner_of(obj["metadata"]["labels"])[1], "repair")

    def freeze(self, models: Collection[ServedModel]) -> "Plan":
        """Return the plan in which some more models keep the objects that they have."""
        if not models:
            return self
        owners = {("", model.tenant.name, model.name) for model in models}
        keys = {(model.tenant.namespace, model.name) for model in models}
        return replace(self, frozen=self.frozen | owners, frozen_models=self.frozen_models | keys)


class Planner:
    """Plans pass after pass; what has not changed is taken from the pass before."""

    def __init__(self) -> None:
        self._memo, self._last, self._access = Memo(), Last(), AccessPlanner()

    def plan(
        self,
        world: World,
        admission: Mapping[ObjectKey, AdmissionResult],
        closed: Mapping[LimitKey, str],
        lifted: frozenset[LimitKey] = frozenset(),
    ) -> Plan:
        """Return what should exist in `world`, whose documents have the results `admission`.

        `closed` are the messages of models that take no requests, by identity; `lifted` those whose limit is taken away
        for now. The same plan is returned as long as its inputs are equal.
        """
        inputs = inputs_of(world, admission, closed, lifted)
        return self._last.get((inputs,), lambda: self._make(inputs))

    def _make(self, inputs: PlanInputs) -> Plan:
        gateways = plan_gateways(inputs, self._memo)
        tenants = plan_tenants(inputs, gateways.pools, self._memo)
        models = plan_models(inputs, tenants.tenants, self._memo)
        overrides = plan_overrides(inputs, self._memo)
        limits, matches = match_overrides(inputs, models.limits, overrides, self._memo)
        revoked, kept = _frozen_routes(inputs, models)
        self._memo.end_round()
        return Plan(
            pools=gateways.pools,
            tenants=tenants.tenants,
            dedicated=tenants.dedicated,
            models=models.models,
            limits=limits,
            admission=inputs.admission,
            waiting={**tenants.waiting, **models.waiting},
            frozen=gateways.frozen | tenants.frozen | models.frozen,
            frozen_models=models.frozen_models,
            unmanaged_namespaces=_unmanaged_namespaces(inputs),
            terminating=terminating_documents(inputs),
            lifted=inputs.lifted,
            overrides=overrides,
            override_matches=matches,
            drift_policies=drift_policies(inputs),
            certificates=_certificates(inputs, gateways.pools, tenants.tenants),
            revoked_routes=revoked,
            kept_hosts=kept,
            access=self._access.plan(_access_inputs(inputs)),
        )


def plan_once(world: World, closed: Mapping[LimitKey, str] | None = None, plans: PlanChecks | None = None) -> Plan:
    """Return the plan of one world by itself, without a pass before it."""
    return Planner().plan(world, Admitter(plans).admit(world), closed or {})


def _access_inputs(inputs: PlanInputs) -> AccessInputs:
    return AccessInputs(
        inputs.tenants, inputs.models, inputs.callers, inputs.admission, inputs.caller_keys, inputs.lapsed
    )


def _unmanaged_namespaces(inputs: PlanInputs) -> frozenset[str]:
    namespaces = inputs.namespaces.items()
    return frozenset(name for name, state in namespaces if state.labels.get(names.MANAGED_BY) != names.MANAGER)


def _frozen_routes(inputs: PlanInputs, models: ModelPlan) -> tuple[dict[tuple[str, str], Routes], Routes]:
    """Return the routes that frozen models lose to another tenant, and the hosts that they keep."""
    routes = [route for route in inputs.bound.routes if route[3] in models.frozen_models]
    if not routes:
        return {}, frozenset()
    index = ClaimIndex()
    for stored in inputs.tenants:
        if inputs.accepted(stored) and stored.document:
            index.add(stored.document)
    tenant_of = {namespace: inputs.tenant_of(namespace) for *_, (namespace, _) in routes}
    return revoked_routes(routes, tenant_of, index)


def _certificates(
    inputs: PlanInputs, pools: Mapping[str, GatewayPool], tenants: Mapping[str, Tenancy]
) -> dict[ObjectKey, Uses]:
    """Return which certificates are served for which hosts: a gateway's own for domains, and its tenants'."""
    found = {ObjectKey("InferenceGateway", "", name): _certificates_at(pool) for name, pool in pools.items()}
    for stored in inputs.tenants:
        tenant, spec = tenants.get(stored.key.name), inputs.accepted(stored)
        if tenant and spec:
            found[stored.key] = _certificates_of(spec, tenant)
    return found


def _certificates_at(pool: GatewayPool) -> Uses:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for listener in pool.listeners:
        if listener.credential and listener.domain:
            place = (pool.namespace, listener.credential)
            found[place] = (*found.get(place, ()), f"*.{listener.domain}")
    return found


def _certificates_of(spec: TenantSpec, tenant: Tenancy) -> Uses:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for pool in tenant.gateways:
        for host in spec.hosts:
            if host.tls:
                place = (pool.namespace, host.tls.credential_name)
                found[place] = (*found.get(place, ()), host.name)
    return found


def owner_of_document(key: ObjectKey, plan: Plan) -> Owner:
    """Return as whose the objects of a document are labelled."""
    if key.kind == "InferenceGateway":
        return (key.name, "", "")
    if key.kind == "Tenant":
        return ("", key.name, "")
    served = plan.models.get((key.namespace, key.name))
    return ("", served.tenant.name if served else "", key.name)
