"""Plan of gateways and tenants: which exist, what each waits for, and which are frozen. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from istio_templates.documents import InferenceGatewaySpec, TenantSpec
from istio_templates.documents.tenant import Drift
from istio_templates.facts import GatewayPool, ObjectKey, Tenancy
from k8s_manager.admission.host_delegation import Delegations, delegations
from k8s_manager.pipeline import facts
from k8s_manager.pipeline.plan_inputs import PlanInputs
from k8s_manager.runtime.memo import Memo
from k8s_manager.world.owner import Owner
from k8s_manager.world.tenant import dedicated_namespace, gateway_name, namespace_of
from k8s_manager.world.tenant_gateways import Binding
from k8s_manager.world.world import Stored


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """The gateways by name, and the owners of those that are frozen."""

    pools: Mapping[str, GatewayPool]
    frozen: frozenset[Owner]


@dataclass(frozen=True, slots=True)
class TenantPlan:
    """The tenants by name, the gateways that they have of their own, and what keeps others back."""

    tenants: Mapping[str, Tenancy]
    dedicated: Mapping[str, InferenceGatewaySpec]
    waiting: Mapping[ObjectKey, str]
    frozen: frozenset[Owner]


def plan_gateways(inputs: PlanInputs, memo: Memo) -> GatewayPlan:
    """Return the gateways that should exist; one that is deleted stays as long as a tenant uses it."""
    used = {gateway_name(stored.key.name, stored.spec) for stored in inputs.tenants if stored.spec}
    used |= {gateway for binding in inputs.bindings.values() for gateway in binding.present}
    pools: dict[str, GatewayPool] = {}
    frozen = set()
    for stored in inputs.gateways:
        name, spec = stored.key.name, inputs.accepted(stored)
        if spec is None:
            frozen.add((name, "", ""))
        elif not stored.deleting or name in used:
            arguments = (spec, stored.uid, _missing_beside_others(spec, inputs))
            pools[name] = memo.get(stored.key, arguments, partial(facts.pool, name, *arguments))
    return GatewayPlan(pools, frozenset(frozen))


def plan_tenants(inputs: PlanInputs, pools: Mapping[str, GatewayPool], memo: Memo) -> TenantPlan:
    """Return the tenants that should exist, each at the gateways that serve it now."""
    tenants: dict[str, Tenancy] = {}
    dedicated: dict[str, InferenceGatewaySpec] = {}
    waiting: dict[ObjectKey, str] = {}
    frozen: set[Owner] = set()
    with_models = {stored.key.namespace for stored in inputs.models}
    shared = _delegations(inputs)
    for stored in inputs.tenants:
        name, spec = stored.key.name, inputs.accepted(stored)
        if spec is None:
            frozen.add(("", name, ""))
            continue
        if stored.deleting and namespace_of(name, spec) not in with_models:
            continue
        binding = inputs.bindings.get(name) or Binding((gateway_name(name, spec),))
        if own := _dedicated(name, spec, binding, inputs, memo):
            dedicated[name] = own
        serving = _distinct([pools[gateway] for gateway in binding.gateways if gateway in pools])
        if not serving or serving[0].name != binding.gateways[0]:
            waiting[stored.key] = (
                f"gateway {binding.gateways[0]} does not exist or is not accepted yet; create it, or "
                "correct its document"
            )
            frozen.add(("", name, ""))
            continue
        missing = frozenset(secret for pool in serving for secret in _missing_secrets(spec, pool, inputs))
        if message := "; ".join(filter(None, (binding.waits, _secrets_message(missing, serving)))):
            waiting[stored.key] = message
        leaving = tuple(gateway for gateway in binding.leaving if gateway in pools)
        arguments = (spec, serving, missing, shared.guests.get(name, {}), shared.hosts.get(name, ()), leaving)
        tenants[name] = memo.get(stored.key, arguments, partial(facts.tenancy, name, *arguments))
    return TenantPlan(tenants, dedicated, waiting, frozenset(frozen))


def drift_policies(inputs: PlanInputs) -> dict[str, Drift]:
    """Return the policies of accepted tenants that do not have every foreign edit repaired, by tenant."""
    specs = ((stored.key.name, inputs.accepted(stored)) for stored in inputs.tenants)
    return {name: spec.drift for name, spec in specs if spec and spec.drift != "repair"}


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


def _delegations(inputs: PlanInputs) -> Delegations:
    specs = {stored.key.name: spec for stored in inputs.tenants if (spec := inputs.accepted(stored))}
    known = {stored.key.name for stored in inputs.tenants}
    homes = {tenant: name for name in inputs.namespaces if (tenant := inputs.tenant_of(name)) in known}
    return delegations(specs, homes, inputs.bindings)


def _dedicated(
    name: str, spec: TenantSpec, binding: Binding, inputs: PlanInputs, memo: Memo
) -> InferenceGatewaySpec | None:
    """Return the gateway that a tenant has of its own, also while it moves away from that."""
    if spec.gateway.dedicated:
        return memo.get(("own", name), (spec.gateway,), partial(own_gateway, name, spec))
    if name not in binding.present:
        return None
    live: Stored[InferenceGatewaySpec] | None = next(
        (gateway for gateway in inputs.gateways if gateway.key.name == name and not gateway.deleting), None
    )
    is_own = live is not None and live.spec is not None and live.spec.namespace == dedicated_namespace(name)
    return live.spec if live and is_own else None


def _distinct(pools: list[GatewayPool]) -> tuple[GatewayPool, ...]:
    """Return the gateways that can serve a tenant at once: its objects have the same names in each namespace."""
    first = {pool.namespace: pool for pool in reversed(pools)}
    return tuple(pool for pool in pools if first[pool.namespace] is pool)


def _missing_beside_others(spec: InferenceGatewaySpec, inputs: PlanInputs) -> frozenset[str]:
    """Return the Secrets of listeners that share their port and are not there.

    Envoy waits for every certificate of a port: without one of them, a new gateway pod would not open the port at all.
    """
    shared = Counter(listener.port for listener in spec.listeners)
    return frozenset(
        listener.credential_name
        for listener in spec.listeners
        if listener.credential_name
        and shared[listener.port] > 1
        and (spec.namespace, listener.credential_name) not in inputs.secrets
    )


def _missing_secrets(spec: TenantSpec, pool: GatewayPool, inputs: PlanInputs) -> frozenset[str]:
    named = {host.tls.credential_name for host in spec.hosts if host.tls}
    return frozenset(name for name in named if (pool.namespace, name) not in inputs.secrets)


def _secrets_message(missing: frozenset[str], pools: tuple[GatewayPool, ...]) -> str | None:
    if not missing:
        return None
    namespaces = ", ".join(sorted({pool.namespace for pool in pools}))
    return (
        f"there is no Secret {', '.join(sorted(missing))} in namespace {namespaces}, and hosts that use it are "
        "not served; create it with their certificate"
    )
