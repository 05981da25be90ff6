"""The namespace and the gateway of a tenant, as its document says or by default. Pure."""

from istio_templates.documents import TenantSpec


def namespace_of(tenant: str, spec: TenantSpec) -> str:
    """Return the namespace of a tenant."""
    return spec.namespace or tenant


def dedicated_namespace(tenant: str) -> str:
    """Return the namespace of a tenant's own gateway."""
    return f"{tenant}-gateway"


def can_have_own_gateway(tenant: str) -> bool:
    """Tell whether the namespace of a tenant's own gateway is short enough for Kubernetes; admission checks the
    rest."""
    return len(dedicated_namespace(tenant)) <= 63


def gateway_name(tenant: str, spec: TenantSpec) -> str:
    """Return the name of the gateway that serves a tenant."""
    return spec.gateway.name or tenant


def adopted_by(spec: TenantSpec) -> tuple[str, str] | None:
    """Return the gateway and the Gateway there that a tenant takes over, if it does."""
    return (spec.gateway.name, spec.gateway.adopt) if spec.gateway.name and spec.gateway.adopt else None
