"""plan: from the world to what should be. Pure.

A document that is refused keeps its last good objects: nothing of its owner is changed or removed.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from istio_templates import names
from istio_templates.documents import (
    Document,
    InferenceGatewaySpec,
    LimitOverrideSpec,
    ModelSpec,
    TenantSpec,
    WarmupPlanSpec,
)
from istio_templates.documents.tenant import Drift, TenantRateLimit
from istio_templates.facts import GatewayPool, ObjectKey, ServedModel, Tenancy
from k8s_manager.admission import override_rules, warmup_rules
from k8s_manager.admission.admit import AdmissionResult, Admitter
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.host_delegation import Delegations, delegations, revoked_routes, unserved_delegation
from k8s_manager.admission.warmup_rules import PlanChecks
from k8s_manager.pipeline import facts
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.traffic.weights import can_be_split, declared, split
from k8s_manager.world.binding import Binding
from k8s_manager.world.certificate import Uses
from k8s_manager.world.owner import Owner
from k8s_manager.world.tenant import dedicated_namespace, gateway_name, namespace_of
from k8s_manager.world.world import Stored, World
from ratelimiter.overrides import Override
from ratelimiter.target import Terms
from warmup.plans.bundle import Bundle

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terminating:
    """A document that is being deleted; `waits` says what has to go first."""

    stored: Stored
    owner: Owner
    waits: str | None = None


@dataclass(frozen=True, slots=True)
class Limited:
    """A limit of a model, the whole one's or a version's: its terms, its document, and all overrides that are for it,
    ended ones included."""

    terms: Terms
    spec: ModelSpec
    overrides: tuple[Override, ...] = ()


@dataclass(slots=True)
class Plan:
    """What should be. `held` owners keep what they have; `lent` namespaces exist and are used, but not ours; `lifted`
    are the identities of models that have no limit for now; `meant` says for how many models each override is; `drift`
    is the policy of those tenants that do not have everything set back; `certificates` says by document which ones it
    serves for which hosts; `revoked` are the routes that models lose though they keep the rest, as (host, path); `kept`
    those that they keep, as (namespace, host)."""

    pools: dict[str, GatewayPool] = field(default_factory=dict)
    tenants: dict[str, Tenancy] = field(default_factory=dict)
    dedicated: dict[str, InferenceGatewaySpec] = field(default_factory=dict)
    models: dict[tuple[str, str], ServedModel] = field(default_factory=dict)
    limits: dict[str, Limited] = field(default_factory=dict)
    verdicts: dict[ObjectKey, AdmissionResult] = field(default_factory=dict)
    waiting: dict[ObjectKey, str] = field(default_factory=dict)
    held: set[Owner] = field(default_factory=set)
    held_models: set[tuple[str, str]] = field(default_factory=set)
    lent: set[str] = field(default_factory=set)
    leaving: list[Terminating] = field(default_factory=list)
    lifted: frozenset[str] = frozenset()
    overrides: dict[ObjectKey, Override] = field(default_factory=dict)
    meant: Counter[ObjectKey] = field(default_factory=Counter)
    drift: dict[str, Drift] = field(default_factory=dict)
    certificates: dict[ObjectKey, Uses] = field(default_factory=dict)
    revoked: dict[tuple[str, str], frozenset[tuple[str, str]]] = field(default_factory=dict)
    kept: frozenset[tuple[str, str]] = frozenset()


class Planner:
    """Plans pass after pass; what has not changed is taken from the pass before."""

    def __init__(self, plans: PlanChecks | None = None) -> None:
        self._memo, self._last, self._admitter = Memo(), Last(), Admitter(plans)

    def plan(self, world: World, closed: Mapping[str, str], lifted: frozenset[str] = frozenset()) -> Plan:
        """Return what should be in `world`; `closed` are the sentences of models that take no requests, by identity;
        `lifted` those whose limit is taken away for now.

        The same plan is returned as long as documents, namespaces and certificates are the same.
        """
        inputs = (
            world.gateways,
            world.tenants,
            world.models,
            world.namespaces,
            world.secrets,
            world.bound,
            world.bindings,
            world.overrides,
            world.foreign,
            world.warmup_plans,
            world.access_grants,
            world.files,
            world.ungated,
            _splits(world),
            lifted,
            dict(closed),
        )
        return self._last.get(inputs, lambda: self._make(world, closed, lifted))

    def _make(self, world: World, closed: Mapping[str, str], lifted: frozenset[str]) -> Plan:
        plan = Plan(verdicts=self._admitter.admit(world), lifted=lifted)
        plan.lent = {
            name for name, seen in world.namespaces.items() if seen.labels.get(names.MANAGED_BY) != names.MANAGER
        }
        _pools(world, plan, self._memo)
        _tenants(world, plan, self._memo)
        _models(world, plan, self._memo, closed)
        _overrides(world, plan, self._memo)
        _certificates(world, plan)
        _leaving(world, plan)
        _kept(world, plan)
        self._memo.end_round()
        return plan


def _accepted(stored: Stored, plan: Plan) -> Document | None:
    return stored.document if plan.verdicts[stored.key].accepted else None


def _pools(world: World, plan: Plan, memo: Memo) -> None:
    used = {
        gateway_name(s.key.name, s.document.spec)
        for s in world.tenants
        if s.document and isinstance(s.document.spec, TenantSpec)
    }
    used |= {gateway for bound in world.bindings.values() for gateway in bound.gateways}
    for stored in world.gateways:
        name = stored.key.name
        document = _accepted(stored, plan)
        if document is None:
            plan.held.add((name, "", ""))
        elif not stored.deleting or name in used:
            spec = document.spec
            assert isinstance(spec, InferenceGatewaySpec)
            plan.pools[name] = memo.get(stored.key, (spec, stored.uid), partial(facts.pool, name, spec, stored.uid))


def _tenants(world: World, plan: Plan, memo: Memo) -> None:
    busy = {stored.key.namespace for stored in world.models}
    between = _shared(world, plan)
    for stored in world.tenants:
        name, document = stored.key.name, _accepted(stored, plan)
        if document is None:
            plan.held.add(("", name, ""))
            continue
        spec = document.spec
        assert isinstance(spec, TenantSpec)
        if stored.deleting and namespace_of(name, spec) not in busy:
            continue
        bound = world.bindings.get(name) or Binding((gateway_name(name, spec),))
        if spec.gateway.dedicated:
            plan.dedicated[name] = memo.get(("own", name), (spec.gateway,), partial(own_gateway, name, spec))
        elif name in bound.gateways and (left := _own_gateway(name, world)):
            plan.dedicated[name] = left
        pools = _apart([plan.pools[gateway] for gateway in bound.gateways if gateway in plan.pools])
        if bound.waits:
            plan.waiting[stored.key] = bound.waits
        if not pools or pools[0].name != bound.gateways[0]:
            plan.waiting[stored.key] = (
                f"gateway {bound.gateways[0]} does not exist or is not accepted yet; create it, or correct its document"
            )
            plan.held.add(("", name, ""))
            continue
        missing = frozenset(secret for pool in pools for secret in _missing_secrets(spec, pool, world))
        if missing:
            namespaces = ", ".join(sorted({pool.namespace for pool in pools}))
            said = (
                f"there is no Secret {', '.join(sorted(missing))} in namespace {namespaces}, and hosts that use it are "
                "not served; create it with their certificate"
            )
            plan.waiting[stored.key] = f"{bound.waits}; {said}" if bound.waits else said
        if spec.drift != "repair":
            plan.drift[name] = spec.drift
        inputs = (spec, pools, missing, between.guests.get(name, {}), between.hosts.get(name, ()))
        plan.tenants[name] = memo.get(stored.key, inputs, partial(facts.tenancy, name, *inputs))


def _shared(world: World, plan: Plan) -> Delegations:
    specs = {s.key.name: document.spec for s in world.tenants if (document := _accepted(s, plan))}
    there = {stored.key.name for stored in world.tenants}
    homes = {tenant: name for name in world.namespaces if (tenant := _tenant_label(name, world)) in there}
    return delegations(
        {name: spec for name, spec in specs.items() if isinstance(spec, TenantSpec)}, homes, world.bindings
    )


def _kept(world: World, plan: Plan) -> None:
    """Tell apart what models that keep what they have serve: what is another tenant's by now goes all the same."""
    routes = [route for route in world.bound.routes if route[3] in plan.held_models]
    if not routes:
        return
    fleet = ClaimIndex()
    for stored in world.tenants:
        if document := _accepted(stored, plan):
            fleet.add(document)
    tenant_of = {namespace: _tenant_label(namespace, world) for *_, (namespace, _) in routes}
    plan.revoked, plan.kept = revoked_routes(routes, tenant_of, fleet)


def own_gateway(tenant: str, spec: TenantSpec) -> InferenceGatewaySpec:
    """Return the gateway that a tenant has of its own."""
    assert spec.gateway.dedicated is not None
    return InferenceGatewaySpec.model_validate(
        {
            "namespace": dedicated_namespace(tenant),
            "selector": {"istio": dedicated_namespace(tenant)},
            "managed": {"replicas": spec.gateway.dedicated.replicas},
            "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}],
        }
    )


def _apart(pools: list[GatewayPool]) -> tuple[GatewayPool, ...]:
    """Return the gateways that can serve a tenant at once: its objects have the same names in each namespace."""
    first = {pool.namespace: pool for pool in reversed(pools)}
    return tuple(pool for pool in pools if first[pool.namespace] is pool)


def _own_gateway(tenant: str, world: World) -> InferenceGatewaySpec | None:
    """Return the gateway of its own that a tenant is about to leave, as it is."""
    stored = next((gateway for gateway in world.gateways if gateway.key.name == tenant and not gateway.deleting), None)
    spec = stored.document.spec if stored and stored.document else None
    own = isinstance(spec, InferenceGatewaySpec) and spec.namespace == dedicated_namespace(tenant)
    return spec if own and isinstance(spec, InferenceGatewaySpec) else None


def _missing_secrets(spec: TenantSpec, pool: GatewayPool, world: World) -> frozenset[str]:
    wanted = {host.tls.credential_name for host in spec.hosts if host.tls}
    return frozenset(name for name in wanted if (pool.namespace, name) not in world.secrets)


def _certificates(world: World, plan: Plan) -> None:
    """Note which certificates are served for which hosts: a gateway's own for domains, and its tenants'."""
    for name, pool in plan.pools.items():
        found = {
            (pool.namespace, listener.credential): (f"*.{listener.domain}",)
            for listener in pool.listeners
            if listener.credential and listener.domain
        }
        plan.certificates[ObjectKey("InferenceGateway", "", name)] = found
    for stored in world.tenants:
        tenant, document = plan.tenants.get(stored.key.name), _accepted(stored, plan)
        if tenant and document and isinstance(document.spec, TenantSpec):
            plan.certificates[stored.key] = _certificates_of(document.spec, tenant)


def _certificates_of(spec: TenantSpec, tenant: Tenancy) -> Uses:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for pool in tenant.gateways:
        for host in spec.hosts:
            if host.tls:
                place = (pool.namespace, host.tls.credential_name)
                found[place] = (*found.get(place, ()), host.name)
    return found


def _models(world: World, plan: Plan, memo: Memo, closed: Mapping[str, str]) -> None:
    tenants = {tenancy.namespace: tenancy for tenancy in plan.tenants.values()}
    ceilings = {
        s.key.name: s.document.spec.rate_limit
        for s in world.tenants
        if s.document and isinstance(s.document.spec, TenantSpec)
    }
    plans = _warmup_plans(world, plan)
    for stored in world.models:
        tenant, document = tenants.get(stored.key.namespace), _accepted(stored, plan)
        name = stored.key.name
        if document is None or tenant is None:
            if not stored.deleting:
                plan.held.add(("", _tenant_label(stored.key.namespace, world), name))
                plan.held_models.add((stored.key.namespace, name))
            continue
        if stored.deleting:
            continue
        spec = document.spec
        assert isinstance(spec, ModelSpec)
        sentence = f"{name} is paused: {spec.paused}" if spec.paused else closed.get(identity_of(stored))
        limit = ceilings.get(tenant.name)
        weights = _weights(stored, spec, world)
        found = warmup_rules.bundle_of((stored.key.namespace, name), spec, plans, world.files)
        served, limits = memo.get(
            stored.key,
            (spec, tenant, sentence, limit, found, weights),
            partial(_facts, tenant, name, spec, sentence, limit, found, weights),
        )
        plan.models[tenant.namespace, name] = served
        if apart := unserved_delegation(spec, tenant):
            plan.waiting[stored.key] = apart
        plan.limits.update((limited.terms.identity, limited) for limited in limits)


def _facts(
    tenant: Tenancy,
    name: str,
    spec: ModelSpec,
    closed: str | None,
    limit: TenantRateLimit | None,
    plan: Bundle | None,
    weights: Mapping[str, int] | None,
) -> tuple[ServedModel, tuple[Limited, ...]]:
    found = facts.terms(tenant, name, spec, limit.ceiling if limit else None)
    return facts.served(tenant, name, spec, closed, plan, weights), tuple(Limited(terms, spec) for terms in found)


def _weights(stored: Stored, spec: ModelSpec, world: World) -> Mapping[str, int] | None:
    """Return the weights that hold, where they may differ from the document's."""
    if not can_be_split(spec):
        return None
    warm = [v.name for v in spec.versions if world.ready.get((*_place(stored), v.name))]
    return split(declared(spec), warm)


def _place(stored: Stored) -> tuple[str, str]:
    return stored.key.namespace, stored.key.name


def _splits(world: World) -> frozenset[tuple[str, str, str]]:
    """Return the versions with warm replicas of models whose traffic is split."""
    return frozenset(
        (*_place(stored), version.name)
        for stored in world.models
        if stored.document and isinstance(stored.document.spec, ModelSpec) and can_be_split(stored.document.spec)
        for version in stored.document.spec.versions
        if world.ready.get((*_place(stored), version.name))
    )


def _warmup_plans(world: World, plan: Plan) -> dict[tuple[str, str], WarmupPlanSpec]:
    found = {
        (s.key.namespace, s.key.name): document.spec for s in world.warmup_plans if (document := _accepted(s, plan))
    }
    return {key: spec for key, spec in found.items() if isinstance(spec, WarmupPlanSpec)}


def _overrides(world: World, plan: Plan, memo: Memo) -> None:
    owners = {}
    for stored in world.tenants:
        tenant = document.spec if (document := _accepted(stored, plan)) else None
        if isinstance(tenant, TenantSpec):
            limit = tenant.rate_limit
            owners[namespace_of(stored.key.name, tenant)] = (stored.key.name, limit.range if limit else None)
    for stored in world.overrides:
        document = _accepted(stored, plan)
        if document and not stored.deleting:
            spec, owner = document.spec, owners.get(stored.key.namespace)
            assert isinstance(spec, LimitOverrideSpec)
            made = memo.get(stored.key, (spec, owner), partial(override_rules.override, stored.key, spec, owner))
            if made:
                plan.overrides[stored.key] = made
    if not plan.overrides:
        return
    labels = {identity_of(stored): stored.labels for stored in world.models if plan.verdicts[stored.key].accepted}
    for identity, limited in plan.limits.items():
        terms = limited.terms
        of_model = labels.get(names.identity_in(identity), {})
        keys = [key for key, o in plan.overrides.items() if o.target.matches(terms, of_model)]
        plan.meant.update(keys if not terms.version else ())
        if keys:
            found = tuple(plan.overrides[key] for key in keys)
            plan.limits[identity] = memo.get(
                ("overridden", identity), (limited, found), partial(Limited, terms, limited.spec, found)
            )


def identity_of(stored: Stored) -> str:
    """Return the identity of the VirtualService that routes for a model, as far as its document can be read."""
    spec = stored.document.spec if stored.document else None
    if isinstance(spec, ModelSpec):
        return facts.identity_of(stored.key.namespace, stored.key.name, spec)
    return names.identity(stored.key.namespace, stored.key.name)


def _tenant_label(namespace: str, world: World) -> str:
    seen = world.namespaces.get(namespace)
    return seen.labels.get(names.TENANT, "") if seen else ""


def _leaving(world: World, plan: Plan) -> None:
    for stored in world.gateways:
        if stored.deleting:
            users = sorted(s.key.name for s in world.tenants if _uses(s, stored.key.name, world))
            waits = f"tenants {', '.join(users)} use this gateway; migrate or delete them first" if users else None
            plan.leaving.append(Terminating(stored, (stored.key.name, "", ""), waits))
    for stored in world.tenants:
        if stored.deleting:
            namespace = _namespace(stored)
            left = sorted(s.key.name for s in world.models if s.key.namespace == namespace)
            waits = f"models {', '.join(left)} still exist; delete them first" if left else None
            plan.leaving.append(Terminating(stored, ("", stored.key.name, ""), waits))
    for stored in world.models:
        if stored.deleting:
            plan.leaving.append(Terminating(stored, ("", _tenant_label(stored.key.namespace, world), stored.key.name)))


def _uses(tenant: Stored, gateway: str, world: World) -> bool:
    spec = tenant.document.spec if tenant.document else None
    if isinstance(spec, TenantSpec) and spec.gateway.name == gateway:
        return True
    bound = world.bindings.get(tenant.key.name)
    return bound is not None and gateway in bound.gateways and gateway != tenant.key.name


def _namespace(tenant: Stored) -> str:
    spec = tenant.document.spec if tenant.document else None
    return namespace_of(tenant.key.name, spec) if isinstance(spec, TenantSpec) else tenant.key.name


def owner_of_document(key: ObjectKey, plan: Plan) -> Owner:
    """Return as whose the objects of a document are labelled."""
    if key.kind == "InferenceGateway":
        return (key.name, "", "")
    if key.kind == "Tenant":
        return ("", key.name, "")
    served = plan.models.get((key.namespace, key.name))
    return ("", served.tenant.name if served else "", key.name)
