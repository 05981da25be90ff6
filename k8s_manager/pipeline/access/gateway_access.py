"""Which tenants' callers each gateway checks. Pure."""

from dataclasses import replace

from istio_templates import names
from istio_templates.callers.access_facts import TenantAccess
from k8s_manager.pipeline.plan import Plan


def access_of_pools(plan: Plan) -> dict[str, tuple[TenantAccess, ...]]:
    """Return, by gateway, the tenants whose callers it checks: those that it serves, and those that have left it but
    for live routes. A gateway without one is not there."""
    found: dict[str, tuple[TenantAccess, ...]] = {}
    for name, access in sorted(plan.access.items()):
        tenant = plan.tenants.get(name)
        if tenant is None:
            continue
        whole = _with_frozen_models(access, plan)
        for pool in sorted({*(pool.name for pool in tenant.gateways), *tenant.leaving} & plan.pools.keys()):
            found[pool] = (*found.get(pool, ()), whole)
    return found


def _with_frozen_models(access: TenantAccess, plan: Plan) -> TenantAccess:
    """Return the access of a tenant with its models whose documents are rejected: their routes stay, and so do the
    rights of callers."""
    known = {name for name, _ in access.models}
    kept = sorted(name for namespace, name in plan.frozen_models if namespace == access.namespace)
    more = [(name, names.identity(access.namespace, name).route) for name in kept if name not in known]
    return replace(access, models=(*access.models, *more)) if more else access
