"""Everything that a plan follows from, as one value: an equal value gives the same plan. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from istio_templates import names
from istio_templates.documents import (
    CallerSpec,
    InferenceGatewaySpec,
    LimitOverrideSpec,
    ModelSpec,
    SpecT,
    TenantSpec,
    WarmupPlanSpec,
)
from istio_templates.facts import DEFAULT_KEDA, KedaFacts, LimitKey, ObjectKey
from k8s_manager.admission.admit import AdmissionResult
from k8s_manager.traffic.weights import can_be_split
from k8s_manager.world.tenant_gateways import Binding
from k8s_manager.world.world import Bound, NamespaceState, PublicKey, Stored, World


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """Documents with their admission results, and what of the world a plan depends on.

    `warm` are (namespace, model, version) with warm replicas, of models whose traffic can be split. `closed` are the
    messages of models that take no requests and `lifted` the models that have no limit for now, both by identity.
    """

    gateways: tuple[Stored[InferenceGatewaySpec], ...]
    tenants: tuple[Stored[TenantSpec], ...]
    models: tuple[Stored[ModelSpec], ...]
    overrides: tuple[Stored[LimitOverrideSpec], ...]
    warmup_plans: tuple[Stored[WarmupPlanSpec], ...]
    admission: Mapping[ObjectKey, AdmissionResult]
    namespaces: Mapping[str, NamespaceState]
    secrets: frozenset[tuple[str, str]]
    bound: Bound
    bindings: Mapping[str, Binding]
    files: Mapping[tuple[str, str], Mapping[str, bytes]]
    warm: frozenset[tuple[str, str, str]]
    closed: Mapping[LimitKey, str]
    lifted: frozenset[LimitKey]
    keda: KedaFacts = DEFAULT_KEDA
    callers: tuple[Stored[CallerSpec], ...] = ()
    caller_keys: Mapping[str, tuple[PublicKey, ...]] = field(default_factory=dict)
    lapsed: frozenset[tuple[str, str, str]] = frozenset()

    def accepted(self, stored: Stored[SpecT]) -> SpecT | None:
        """Return the spec of a document that is accepted; None for any other."""
        return stored.spec if self.admission[stored.key].accepted else None

    def tenant_of(self, namespace: str) -> str:
        """Return the tenant whose label a namespace has; empty without one."""
        state = self.namespaces.get(namespace)
        return state.labels.get(names.TENANT, "") if state else ""


def inputs_of(
    world: World,
    admission: Mapping[ObjectKey, AdmissionResult],
    closed: Mapping[LimitKey, str],
    lifted: frozenset[LimitKey],
) -> PlanInputs:
    """Return what the plan of a world follows from."""
    return PlanInputs(
        gateways=world.gateways,
        tenants=world.tenants,
        models=world.models,
        overrides=world.overrides,
        warmup_plans=world.warmup_plans,
        admission=admission,
        namespaces=world.namespaces,
        secrets=world.secrets,
        bound=world.bound,
        bindings=world.bindings,
        files=world.files,
        warm=_warm_versions(world),
        closed=dict(closed),
        lifted=lifted,
        keda=world.keda,
        callers=world.callers,
        caller_keys=world.caller_keys,
        lapsed=world.lapsed,
    )


def _warm_versions(world: World) -> frozenset[tuple[str, str, str]]:
    return frozenset(
        (stored.key.namespace, stored.key.name, version.name)
        for stored in world.models
        if stored.spec and (stored.spec.traffic_matches or can_be_split(stored.spec))
        for version in stored.spec.versions
        if world.ready.get((stored.key.namespace, stored.key.name, version.name))
    )
