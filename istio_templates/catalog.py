"""Everything that is rendered for a gateway, a tenant and a model, in the order in which it is made.

Make before break: what is referred to comes before what refers to it. Removal goes the other way round.
"""

from collections.abc import Iterable

from istio_templates.access_log.logger import access_logger
from istio_templates.arms.sticky_filter import sticky_filters
from istio_templates.autoscalers.keda_scaler import scaled_objects
from istio_templates.callers.access_facts import TenantAccess
from istio_templates.callers.access_insertion import access_insertion
from istio_templates.callers.access_slot import access_slot
from istio_templates.destination_rule import destination_rule
from istio_templates.envoy_filter import endpoint_stats, insertion, slot_config
from istio_templates.facts import GatewayPool, Manifest, ServedModel, SlotFacts, Tenancy
from istio_templates.gateway import pool_gateway, tenant_gateway
from istio_templates.namespace import pool_namespace, tenant_namespace
from istio_templates.traces.telemetry import telemetry
from istio_templates.virtual_service import probe, virtual_service
from istio_templates.workloads.deployment import deployments
from istio_templates.workloads.disruption_budget import disruption_budgets
from istio_templates.workloads.gateway_workload import gateway_workload
from istio_templates.workloads.horizontal_pod_autoscaler import horizontal_pod_autoscalers
from istio_templates.workloads.network_policy import network_policy
from istio_templates.workloads.service import service
from istio_templates.workloads.warmup_plan import warmup_plan

ORDER = (
    "Namespace", "InferenceGateway", "ServiceAccount", "RoleBinding", "NetworkPolicy", "ConfigMap", "Service",
    "Deployment",
    "PodDisruptionBudget", "HorizontalPodAutoscaler", "DestinationRule", "SlotEnvoyFilter", "EnvoyFilter", "Gateway",
    "VirtualService", "Telemetry", "ScaledObject",
)  # fmt: skip
"""Telemetry and ScaledObject come last: nothing refers to them, and where the cluster has no such kind everything else
is made."""


def render_pool(pool: GatewayPool, tenants: list[Tenancy], kept: frozenset[tuple[str, str]]) -> list[Manifest]:
    """Return what belongs to a gateway, but its slots' configurations. `kept` are (namespace, host) that are served on,
    though their tenants' documents are refused."""
    head = [pool_namespace(pool)] if pool.managed else []
    filters = [insertion(pool), *endpoint_stats(pool), *access_logger(pool)]
    return [
        *head,
        *gateway_workload(pool),
        *filters,
        *pool_gateway(pool, tenants, kept),
        *probe(pool),
        *telemetry(pool),
    ]


def render_slot(slot: SlotFacts) -> list[Manifest]:
    """Return the configuration of one slot of a gateway."""
    return [slot_config(slot)]


def render_access(pool: GatewayPool) -> list[Manifest]:
    """Return what has a gateway check callers, but the contents of its access slots."""
    return [access_insertion(pool)]


def render_access_slot(pool: GatewayPool, slot: int, tenants: tuple[TenantAccess, ...]) -> list[Manifest]:
    """Return the contents of one access slot of a gateway, for the tenants that fall into it."""
    return [access_slot(pool, slot, tenants)]


def render_tenant(tenant: Tenancy) -> list[Manifest]:
    """Return what belongs to a tenant, but its models."""
    policy = [network_policy(tenant)] if tenant.strict else []
    gateways = [obj for pool in tenant.gateways for obj in tenant_gateway(pool, tenant)]
    return [tenant_namespace(tenant), *policy, *gateways]


def render_model(model: ServedModel) -> list[Manifest]:
    """Return what belongs to a model, but its limit, which lives in a slot. Where it is attached, nothing else does."""
    plan = [warmup_plan(model)] if model.warmup and model.warmup.plan else []
    if model.attached:
        return plan
    workloads = [*deployments(model), *disruption_budgets(model), *horizontal_pod_autoscalers(model)]
    routing = [destination_rule(model), *sticky_filters(model), virtual_service(model)]
    return [*plan, service(model), *workloads, *routing, *scaled_objects(model)]


def in_order(objects: Iterable[Manifest]) -> list[Manifest]:
    """Return objects in the order in which they are made."""
    return sorted(objects, key=lambda obj: (stage(obj), obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))


def stage(obj: Manifest) -> int:
    """Return when an object is made: slot configurations before the filters that ask for them."""
    kind = "SlotEnvoyFilter" if is_slot(obj) else obj["kind"]
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def is_slot(obj: Manifest) -> bool:
    """Tell whether an object is the configuration of a slot."""
    patches = (obj.get("spec") or {}).get("configPatches") or [{}]
    return obj["kind"] == "EnvoyFilter" and bool(patches[0].get("applyTo") == "EXTENSION_CONFIG")
