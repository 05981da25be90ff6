"""What stays of the checks of callers at a gateway, by what is live there. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from istio_templates import names
from istio_templates.callers.access_retention import retains
from istio_templates.catalog import render_access_slot
from istio_templates.facts import GatewayPool, Manifest, ObjectKey
from k8s_manager.pipeline.plan import Plan
from k8s_manager.pipeline.render import Desired
from k8s_manager.world.owner import owner_of

_SLOTS = range(names.ACCESS_SLOTS)


def retained_namespaces(plan: Plan, owned: Mapping[ObjectKey, Manifest]) -> frozenset[str]:
    """Return the namespaces of tenants that are not in the plan, and whose routes are live: their documents are
    rejected, or they are on their way out."""
    return frozenset(
        key.namespace
        for key, live in owned.items()
        if key.kind == "VirtualService" and (tenant := _tenant(live)) and tenant not in plan.tenants
    )


def _tenant(obj: Manifest) -> str:
    return owner_of(obj["metadata"].get("labels") or {})[1]


def with_idle_access_slots(desired: Desired, plan: Plan, owned: Mapping[ObjectKey, Manifest]) -> Desired:
    """Return what is desired, and empty access slots for those of a gateway that checks no callers any more.

    They stay as long as the gateway: connections that drain still pass their filters, and without a configuration
    Envoy would answer their requests with 500.
    """
    more = {}
    for pool in plan.pools.values():
        if ObjectKey("EnvoyFilter", pool.namespace, names.access_slot_object(pool, 0)) in desired.objects:
            continue
        for slot in _SLOTS:
            key = ObjectKey("EnvoyFilter", pool.namespace, names.access_slot_object(pool, slot))
            if key in owned:
                more[key] = render_access_slot(pool, slot, ())[0]
    return replace(desired, objects={**desired.objects, **more}) if more else desired


def insertion_still_protects(
    key: ObjectKey, obj: Manifest, plan: Plan, owned: Mapping[ObjectKey, Manifest]
) -> str | None:
    """Return why the filters that check callers stay in a gateway that renders none; None where they may go."""
    pool = plan.pools.get(obj["metadata"].get("labels", {}).get(names.GATEWAY, ""))
    if pool is None or key != _insertion(pool):
        return None
    retained = retained_namespaces(plan, owned)
    slots = (ObjectKey("EnvoyFilter", pool.namespace, names.access_slot_object(pool, n)) for n in _SLOTS)
    kept = any(retains(owned[slot], retained) for slot in slots if slot in owned)
    return "it checks the callers of a tenant whose routes are still live" if kept else None


def unchecked_gateways(route: ObjectKey, plan: Plan, stands: Callable[[ObjectKey], bool]) -> list[str]:
    """Return the gateways that are to serve a route and do not check the callers of its tenant yet, by whether the
    filters for that stand there; none for a model that anyone may call."""
    served = plan.models.get((route.namespace, route.name))
    access = plan.access.get(served.tenant.name) if served else None
    if served is None or access is None or route.name in access.public:
        return []
    return [pool.name for pool in served.tenant.gateways if not stands(_insertion(pool))]


def _insertion(pool: GatewayPool) -> ObjectKey:
    return ObjectKey("EnvoyFilter", pool.namespace, names.access_insertion_object(pool))
