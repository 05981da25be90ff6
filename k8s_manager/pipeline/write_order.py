"""Ordering: what holds a write or a deletion back so that no request fails in between. Pure.

Make before break: what is referred to is made before what refers to it, and removed after it. `istio_templates.catalog`
knows the stages; here stand the holds, each a named check that returns why an object waits. An object is written or
deleted in the pass in which no hold names it any more.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from istio_templates import names
from istio_templates.catalog import ORDER, stage
from istio_templates.facts import LimitKey, Manifest, ObjectKey
from istio_templates.virtual_service import gateways_of, subsets_used
from k8s_manager.pipeline.access.live_access import insertion_still_protects, unchecked_gateways
from k8s_manager.pipeline.changes import Changes
from k8s_manager.pipeline.plan import Plan
from k8s_manager.pipeline.render import Desired
from k8s_manager.pipeline.termination import Terminating
from k8s_manager.traffic.drain import defer_draining
from k8s_manager.traffic.route_gateways import Rebindings
from k8s_manager.world.owner import Owner, owner_of
from k8s_manager.world.world import World


@dataclass(frozen=True, slots=True)
class Situation:
    """What the holds look at: what should exist, what the manager owns, (gateway, identity) of limits in slots, the
    owners that are being deleted and wait for nothing, and the routes that are bound otherwise than they should be."""

    plan: Plan
    desired: Desired
    owned: Mapping[ObjectKey, Manifest]
    limited: frozenset[tuple[str, LimitKey]]
    leaving: frozenset[Owner]
    rebindings: Rebindings = field(default_factory=dict)

    def stands(self, key: ObjectKey) -> bool:
        """Tell whether an object exists and stays."""
        live = self.owned.get(key)
        return live is not None and "deletionTimestamp" not in live["metadata"]


Hold = Callable[[ObjectKey, Manifest, Situation], str | None]


def namespace_is_unmanaged(key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:  # noqa: ARG001
    """A namespace that the manager did not create is used, and neither written nor deleted."""
    is_unmanaged = key.kind == "Namespace" and key.name in situation.plan.unmanaged_namespaces
    return f"namespace {key.name} belongs to another owner" if is_unmanaged else None


def owner_is_frozen(key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:
    """The objects of a rejected document stay as they are; a gateway for which its tenant waits must come."""
    owner = owner_of(obj["metadata"]["labels"])
    is_frozen = owner in situation.plan.frozen and key.kind != "InferenceGateway"
    return "its document is rejected, or waits for its gateway" if is_frozen else None


def route_waits_for_its_limit(key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:  # noqa: ARG001
    """A route opens when its limit is in a slot of every gateway that serves it."""
    if key.kind != "VirtualService":
        return None
    limit = situation.plan.limits.get(names.identity(key.namespace, key.name))
    if limit is None or limit.terms.identity in situation.plan.lifted:
        return None
    serving = [pool for pool in limit.terms.pools if pool not in _left(key, situation)]
    waits = [pool for pool in serving if (pool, limit.terms.identity) not in situation.limited]
    return f"its limit is not in a slot of gateway {', '.join(waits)} yet" if waits else None


def _left(route: ObjectKey, situation: Situation) -> tuple[str, ...]:
    """Return the gateways that a model has left: what it needs there goes when its live route has left them too."""
    served = situation.plan.models.get((route.namespace, route.name))
    return served.tenant.leaving if served else ()


def route_waits_for_its_gateway(key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:
    """A route opens, and leaves another Gateway, when every Gateway that it is to come through stands."""
    if key.kind != "VirtualService":
        return None
    gateways = [ObjectKey("Gateway", *name.split("/", 1)) for name in gateways_of(obj) if "/" in name]
    absent = [gateway for gateway in gateways if gateway in situation.desired.objects and not situation.stands(gateway)]
    return f"{', '.join(map(str, absent))} is not written yet" if absent else None


def route_waits_for_its_callers(key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:  # noqa: ARG001
    """A route opens where the callers of its tenant are checked, at every gateway that serves it."""
    if key.kind != "VirtualService" or key in situation.owned:
        return None
    waits = unchecked_gateways(key, situation.plan, situation.stands)
    return f"gateway {', '.join(waits)} does not check callers yet" if waits else None


def gateway_waits_for_routes_that_leave(key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:
    """A tenant's Gateway stays as it is while a route of it is not bound yet to those that take over."""
    if key.kind != "Gateway" or not owner_of(obj["metadata"]["labels"])[1]:
        return None
    waits = [found for found in situation.rebindings.get(f"{key.namespace}/{key.name}", ()) if found.lacks]
    return f"{waits[0].route} is not bound to Gateway {', '.join(waits[0].lacks)} yet" if waits else None


def owner_keeps_its_objects(key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:  # noqa: ARG001
    """What nothing renders stays while its document, or its tenant's, is rejected, unless that is being deleted."""
    owner = owner_of(obj["metadata"].get("labels", {}))
    is_kept = owner not in situation.leaving and not situation.plan.frozen.isdisjoint({owner, ("", owner[1], "")})
    return "its document is rejected" if is_kept else None


def version_still_serves(key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:
    """A Deployment stays while the live route sends requests to its version, and no other pods stand for that."""
    if key.kind != "Deployment":
        return None
    labels = obj["metadata"].get("labels", {})
    model, version = labels.get(names.MODEL, ""), labels.get(names.VERSION)
    rule = situation.desired.objects.get(ObjectKey("DestinationRule", key.namespace, model))
    others = [subset for subset in rule["spec"]["subsets"] if subset["name"] == version] if rule else []
    if any(subset["labels"].get(names.VERSION) != version for subset in others):
        return None
    route = situation.owned.get(ObjectKey("VirtualService", key.namespace, model), {})
    return f"requests still go to version {version}" if version in subsets_used(route) else None


def gateway_still_carries_routes(key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:  # noqa: ARG001
    """A Gateway stays while a route that is to come through another one, or stays as it is, comes through it."""
    if key.kind != "Gateway":
        return None
    waits = [found for found in situation.rebindings.get(f"{key.namespace}/{key.name}", ()) if found.leaves]
    return f"requests still come through it to {waits[0].route}" if waits else None


def route_still_leads_there(key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:
    """What a route refers to stays while that route does, though both are to go."""
    if key.kind not in ("Service", "DestinationRule"):
        return None
    route = ObjectKey("VirtualService", key.namespace, obj["metadata"].get("labels", {}).get(names.MODEL, ""))
    goes = route not in situation.desired.objects and situation.stands(route)
    return f"{route} still leads to it" if goes else None


def callers_are_still_checked(key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:
    """The filters that check callers stay while a route that they protect does, though its tenant is not planned."""
    return insertion_still_protects(key, obj, situation.plan, situation.owned)


WRITE_HOLDS: tuple[Hold, ...] = (
    namespace_is_unmanaged,
    owner_is_frozen,
    route_waits_for_its_limit,
    route_waits_for_its_gateway,
    route_waits_for_its_callers,
    gateway_waits_for_routes_that_leave,
)
"""What is written only after something else is in force."""
DELETE_HOLDS: tuple[Hold, ...] = (
    owner_keeps_its_objects,
    version_still_serves,
    gateway_still_carries_routes,
    route_still_leads_there,
    callers_are_still_checked,
)
"""What is deleted only after what replaces it, or refers to it, is in force or gone."""


def first_hold(holds: Iterable[Hold], key: ObjectKey, obj: Manifest, situation: Situation) -> str | None:
    """Return why an object waits; None where nothing holds it."""
    return next((reason for hold in holds if (reason := hold(key, obj, situation))), None)


def ahead_of_pods(changes: Changes) -> list[Manifest]:
    """Return the objects that an API server has to take before the first pods of their owner are made: pods cost cards,
    and what sends them requests comes after them."""
    pods = [write.obj for write in changes.writes if write.first and write.obj["kind"] == "Deployment"]
    owners = Counter(owner_of(obj["metadata"]["labels"]) for obj in pods)
    later = [*(write.obj for write in changes.writes if write.first and _is_after_pods(write.obj)), *changes.awaited]
    several = [obj for obj in pods if owners[owner_of(obj["metadata"]["labels"])] > 1]
    return [*several, *(obj for obj in later if owner_of(obj["metadata"]["labels"]) in owners)]


def _is_after_pods(obj: Manifest) -> bool:
    return stage(obj) > ORDER.index("Deployment")


def with_referenced_subsets(wanted: Manifest, live: Manifest, route: Manifest | None) -> Manifest:
    """Return a DestinationRule that still has the subsets to which the live VirtualService sends requests."""
    if route is None:
        return wanted
    rendered = {subset["name"] for subset in wanted["spec"]["subsets"]}
    needed = subsets_used(route) - rendered
    kept = [subset for subset in live.get("spec", {}).get("subsets", []) if subset["name"] in needed]
    return {**wanted, "spec": {**wanted["spec"], "subsets": [*wanted["spec"]["subsets"], *kept]}} if kept else wanted


def hold_draining(changes: Changes, world: World, now: datetime) -> Changes:
    """Return the changes without the deletion of versions whose pods stay until their requests have ended."""
    deletes, draining = defer_draining(changes.deletes, world, now)
    deleted = {names.key_of(obj) for obj in deletes}
    held = {
        key: "its version drains, or serves on" for obj in changes.deletes if (key := names.key_of(obj)) not in deleted
    }
    return replace(changes, deletes=deletes, draining=draining, held=changes.held | held)


def gateways_in_use(deletes: Iterable[Manifest], tenants: Collection[str]) -> set[ObjectKey]:
    """Return the Gateways that must not be deleted yet: of `tenants` something is not written, so that their routes may
    still be bound to the old one."""
    return {
        names.key_of(obj)
        for obj in deletes
        if obj["kind"] == "Gateway" and owner_of(obj["metadata"].get("labels", {}))[1] in tenants
    }


def owners_of(owned: Mapping[ObjectKey, Manifest]) -> set[Owner]:
    """Return the owners of objects that are not being deleted."""
    return {owner_of(obj["metadata"]["labels"]) for obj in owned.values() if "deletionTimestamp" not in obj["metadata"]}


def may_go(
    document: Terminating,
    identity: LimitKey,
    plan: Plan,
    owners: Collection[Owner],
    limited: frozenset[tuple[str, LimitKey]],
) -> bool:
    """Tell whether the finalizer of a document may be removed: no object (by their `owners`) and no limit is left."""
    in_a_slot = (
        document.stored.key.kind == "Model"
        and identity not in plan.limits
        and any((pool, identity) in limited for pool in plan.pools)
    )
    return document.waits is None and document.owner not in owners and document.stored.finalizer and not in_a_slot
