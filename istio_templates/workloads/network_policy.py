"""NetworkPolicy: where a tenant asks for it, only the gateways and the manager reach its model pods."""

from istio_templates import names
from istio_templates.facts import Manifest, Tenancy

MANAGER_NAMESPACE = "tidegate-system"


def network_policy(tenant: Tenancy) -> Manifest:
    """Return the policy over all pods of a tenant's namespace."""
    obj = names.manifest(
        "networking.k8s.io/v1", "NetworkPolicy", "tidegate-isolation", tenant.namespace, names.owned_by_tenant(tenant)
    )
    allowed = sorted({pool.namespace for pool in tenant.gateways} | {MANAGER_NAMESPACE, tenant.namespace})
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}} for name in allowed]
    return {**obj, "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]}}
