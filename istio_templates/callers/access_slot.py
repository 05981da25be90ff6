"""EnvoyFilter: what one access slot of a gateway holds, for the tenants that fall into it.

As with limits, the filters stand in the gateway's listeners once, and their configurations come by ECDS: a caller who
is added, suspended or revoked drains no listener. A tenant's change writes its own slot and no other.
"""

from istio_templates import names
from istio_templates.callers.access_facts import TenantAccess
from istio_templates.callers.caller_rules import caller_rules
from istio_templates.callers.token_check import token_check
from istio_templates.envoy_filter import extension_config, of_gateway
from istio_templates.facts import GatewayPool, Manifest

AUTHN, CALLERS = "authn", "rbac"
_PRIORITY = 20


def tenants_of_slot(slot: int, tenants: tuple[TenantAccess, ...]) -> tuple[TenantAccess, ...]:
    """Return the tenants that fall into a slot, by name."""
    found = (tenant for tenant in tenants if names.access_slot(tenant.namespace) == slot)
    return tuple(sorted(found, key=lambda tenant: tenant.tenant))


def access_slot(pool: GatewayPool, slot: int, tenants: tuple[TenantAccess, ...]) -> Manifest:
    """Return the EnvoyFilter of one access slot; `tenants` are those that fall into it."""
    parts = {AUTHN: token_check(tenants), CALLERS: caller_rules(tenants)}
    patches = [extension_config(names.access_ecds_name(pool, slot, part), config) for part, config in parts.items()]
    return of_gateway(pool, names.access_slot_object(pool, slot), _PRIORITY, patches)
