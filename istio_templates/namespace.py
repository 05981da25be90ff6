"""Namespace: one per tenant, and one per gateway whose pods Tidegate renders."""

from istio_templates import names
from istio_templates.facts import GatewayPool, Manifest, Tenancy


def tenant_namespace(tenant: Tenancy) -> Manifest:
    """Return the namespace of a tenant. Sidecars stay out of it: the gateway talks to model pods directly."""
    labels = {**names.owned_by_tenant(tenant), "istio-injection": "disabled"}
    return names.manifest("v1", "Namespace", tenant.namespace, "", labels)


def pool_namespace(pool: GatewayPool) -> Manifest:
    """Return the namespace of a managed gateway."""
    return names.manifest("v1", "Namespace", pool.namespace, "", names.owned_by_gateway(pool))
