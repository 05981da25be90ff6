"""Routes whose Gateways are another than they should be, and what has to wait for them. Pure.

Nothing goes before what replaces it is in force: a Gateway stays, and stays as it is, until every route that is to come
through another one does.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from istio_templates import names
from istio_templates.facts import Manifest, ObjectKey, Tenancy
from istio_templates.virtual_service import gateways_of
from k8s_manager.world.owner import owner_of


@dataclass(frozen=True, slots=True)
class Rebinding:
    """A live VirtualService at a Gateway: whether it is to leave that, and the Gateways (`namespace/name`) to which it
    is not bound yet."""

    route: ObjectKey
    leaves: bool
    lacks: tuple[str, ...] = ()


Rebindings = Mapping[str, tuple[Rebinding, ...]]
"""By Gateway (`namespace/name`), the routes that are bound there now and should be bound otherwise."""


def rebindings(
    desired: Mapping[ObjectKey, Manifest],
    owned: Mapping[ObjectKey, Manifest],
    rejected: Collection[tuple[str, str]],
    tenants: Mapping[str, Tenancy],
) -> Rebindings:
    """Return the routes that are bound otherwise than they should be; those of `rejected` models have left a Gateway
    whose gateway does not serve their tenant any more."""
    found: dict[str, tuple[Rebinding, ...]] = {}
    for key, live in owned.items():
        if key.kind != "VirtualService" or "deletionTimestamp" in live["metadata"]:
            continue
        wanted = desired.get(key)
        if wanted is not None and wanted["spec"].get("gateways") == (live.get("spec") or {}).get("gateways"):
            continue
        bound = gateways_of(live)
        if wanted is not None:
            to = set(gateways_of(wanted))
            lacks = tuple(sorted(to - {*bound}))
            here = {name: Rebinding(key, name not in to, lacks) for name in bound}
        elif (key.namespace, key.name) in rejected:
            here = {name: Rebinding(key, True) for name in bound if _is_left(name, tenants, owned)}
        else:
            continue
        for name, one in here.items():
            found[name] = (*found.get(name, ()), one)
    return found


def routes_through(gateway: ObjectKey, owned: Mapping[ObjectKey, Manifest]) -> list[ObjectKey]:
    """Return the live VirtualServices to which requests come through a Gateway."""
    name = f"{gateway.namespace}/{gateway.name}"
    return [key for key, obj in owned.items() if key.kind == "VirtualService" and name in gateways_of(obj)]


def _is_left(name: str, tenants: Mapping[str, Tenancy], owned: Mapping[ObjectKey, Manifest]) -> bool:
    """Tell whether the gateway of a tenant's Gateway does not serve that tenant any more."""
    namespace, _, own = name.partition("/")
    labels = owned.get(ObjectKey("Gateway", namespace, own), {}).get("metadata", {}).get("labels", {})
    tenant = tenants.get(owner_of(labels)[1])
    return tenant is not None and labels.get(names.GATEWAY) not in {pool.name for pool in tenant.gateways}
