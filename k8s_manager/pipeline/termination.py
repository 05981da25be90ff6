"""Documents that are being deleted, and what has to go before them. Pure."""

from dataclasses import dataclass

from istio_templates.documents import TenantSpec
from k8s_manager.pipeline.plan_inputs import PlanInputs
from k8s_manager.world.owner import Owner
from k8s_manager.world.tenant import namespace_of
from k8s_manager.world.world import Stored


@dataclass(frozen=True, slots=True)
class Terminating:
    """A document that is being deleted; `waits` says what has to be removed first."""

    stored: Stored
    owner: Owner
    waits: str | None = None


def terminating_documents(inputs: PlanInputs) -> tuple[Terminating, ...]:
    """Return the documents that are being deleted, each with what holds it back."""
    gateways = (
        Terminating(stored, (stored.key.name, "", ""), _users(stored.key.name, inputs))
        for stored in inputs.gateways
        if stored.deleting
    )
    tenants = (
        Terminating(stored, ("", stored.key.name, ""), _models_left(stored, inputs))
        for stored in inputs.tenants
        if stored.deleting
    )
    models = (
        Terminating(stored, ("", inputs.tenant_of(stored.key.namespace), stored.key.name))
        for stored in inputs.models
        if stored.deleting
    )
    return (*gateways, *tenants, *models)


def _users(gateway: str, inputs: PlanInputs) -> str | None:
    users = sorted(stored.key.name for stored in inputs.tenants if _uses(stored, gateway, inputs))
    return f"tenants {', '.join(users)} use this gateway; migrate or delete them first" if users else None


def _uses(tenant: Stored[TenantSpec], gateway: str, inputs: PlanInputs) -> bool:
    if tenant.spec and tenant.spec.gateway.name == gateway:
        return True
    binding = inputs.bindings.get(tenant.key.name)
    return binding is not None and gateway in binding.present and gateway != tenant.key.name


def _models_left(tenant: Stored[TenantSpec], inputs: PlanInputs) -> str | None:
    namespace = namespace_of(tenant.key.name, tenant.spec) if tenant.spec else tenant.key.name
    left = sorted(stored.key.name for stored in inputs.models if stored.key.namespace == namespace)
    return f"models {', '.join(left)} still exist; delete them first" if left else None
