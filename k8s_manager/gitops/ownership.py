"""Who writes what where a Git tree is applied beside the manager. Pure.

What changes at run time stays the manager's: slots, VirtualServices (their weights move, and their lists are atomic),
documents that follow from documents, and the namespaces in which documents stand. Everything else is Git's, and the
manager never writes it, so that no field has two writers. A route waits for its destinations: the manager opens it when
Git has brought them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from istio_templates import catalog, names
from istio_templates.errors import Invalid
from istio_templates.facts import Manifest, ObjectKey, Tenancy
from istio_templates.virtual_service import gateways_of, http_of, subsets_used, weights_of
from k8s_manager.gitops.layout import RUNTIME, path_of
from k8s_manager.pipeline.changes import Changes, Write
from k8s_manager.runtime.sentences import cut, named
from k8s_manager.world.owner import Owner, owner_of

MISSING, OLDER = "is not in the cluster", "is in the cluster as another commit has it"
CHANGED, SURPLUS = "was changed by another client", "is to go (pruned, or deleted by hand)"
MOST_NAMED = 3


def is_runtime(obj: Manifest) -> bool:
    """Tell whether the manager goes on writing an object, whatever tool applies the tree."""
    if obj["kind"] == "EnvoyFilter":
        return catalog.is_slot(obj)
    return obj["kind"] in ("VirtualService", "InferenceGateway", "Namespace")


@dataclass(frozen=True, slots=True)
class Shares:
    """The changes that are the manager's; how each object of Git's differs from the tree; why a route waits; and the
    weights of routes that differ from those in the tree, as a release moves them."""

    ours: Changes
    out_of_step: dict[ObjectKey, str] = field(default_factory=dict)
    waiting: dict[ObjectKey, str] = field(default_factory=dict)
    owners: dict[ObjectKey, Owner] = field(default_factory=dict)
    moving: dict[ObjectKey, str] = field(default_factory=dict)


def moving_weights(
    desired: Mapping[ObjectKey, Manifest], committed: Mapping[ObjectKey, Manifest]
) -> dict[ObjectKey, str]:
    """Return, of each route whose weights the tree does not have, both of them."""
    found = {}
    for key, obj in committed.items():
        if key.kind == "VirtualService" and key in desired and key.namespace:
            now, there = weights_of(desired[key]), weights_of(obj)
            if now != there:
                found[key] = f"{_shares(now)}; in Git {_shares(there)}"
    return found


def _shares(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{version} {weight} %" for version, weight in sorted(weights.items()) if weight) or "closed"


def shares(changes: Changes, owned: Mapping[ObjectKey, Manifest], tenants: Mapping[str, Tenancy]) -> Shares:
    """Part changes by who carries them out; `owned` are the live objects with the manager's label."""
    parted = Shares(replace(changes, writes=[], deletes=_going(changes, owned)))
    absent: dict[Owner, list[ObjectKey]] = defaultdict(list)
    for write in changes.writes:
        key, owner = names.key_of(write.obj), owner_of(write.obj["metadata"]["labels"])
        if not is_runtime(write.obj):
            parted.out_of_step[key], parted.owners[key] = _differs(key, write, owned), owner
            if key not in owned:
                absent[owner].append(key)
    bound = _bound(changes, owned)
    for obj in changes.deletes:
        key = names.key_of(obj)
        if not is_runtime(obj) and key not in bound:
            parted.out_of_step[key], parted.owners[key] = SURPLUS, owner_of(obj["metadata"].get("labels", {}))
    for write in changes.writes:
        if is_runtime(write.obj):
            key = names.key_of(write.obj)
            if why := _too_early(write.obj, absent, owned, tenants):
                parted.waiting[key], parted.owners[key] = why, owner_of(write.obj["metadata"]["labels"])
            else:
                parted.ours.writes.append(write)
    return parted


def _going(changes: Changes, owned: Mapping[ObjectKey, Manifest]) -> list[Manifest]:
    """Return what the manager deletes now: a namespace goes after what is Git's in it."""
    going = [obj for obj in changes.deletes if is_runtime(obj)]
    if all(obj["kind"] != "Namespace" for obj in going):
        return going
    inhabited = {key.namespace for key, live in owned.items() if not is_runtime(live)}
    return [obj for obj in going if obj["kind"] != "Namespace" or obj["metadata"]["name"] not in inhabited]


def _bound(changes: Changes, owned: Mapping[ObjectKey, Manifest]) -> set[ObjectKey]:
    """Return the Gateways that are to go, and through which live routes are still reached."""
    going = {names.key_of(obj) for obj in changes.deletes if obj["kind"] == "Gateway"}
    if not going:
        return going
    routes = (live for key, live in owned.items() if key.kind == "VirtualService")
    return going & {
        gateway for live in routes if "deletionTimestamp" not in live["metadata"] for gateway in _gateways(live)
    }


def _gateways(route: Manifest | None) -> set[ObjectKey]:
    """Return the Gateways through which a route is reached."""
    return {ObjectKey("Gateway", *name.partition("/")[::2]) for name in gateways_of(route or {})}


def _differs(key: ObjectKey, write: Write, owned: Mapping[ObjectKey, Manifest]) -> str:
    if key not in owned:
        return MISSING
    return CHANGED if write.drifted else OLDER


def _too_early(
    obj: Manifest,
    absent: Mapping[Owner, list[ObjectKey]],
    owned: Mapping[ObjectKey, Manifest],
    tenants: Mapping[str, Tenancy],
) -> str:
    """Return what a route has to wait for; empty where that is nothing.

    The manager opens it at each gateway when that gateway limits requests, and changes it when all its destinations
    exist. What is open stays open, and what only closes or narrows waits for nothing.
    """
    key = names.key_of(obj)
    if key.kind != "VirtualService":
        return ""
    live = owned.get(key)
    gateway, tenant, model = owner_of(obj["metadata"]["labels"])
    bound = _gateways(obj) - _gateways(live)
    newly = {found.namespace for found in bound}
    pools = tenants[tenant].gateways if tenant in tenants else ()
    above = [(gateway, "", "")] if gateway else [(pool.name, "", "") for pool in pools if pool.namespace in newly]
    above += [("", tenant, ""), ("", tenant, model)] if live is None else []
    missing = {found for owner in above for found in absent.get(owner, ())}
    missing |= {found for found in bound if found not in owned}
    if missing:
        return f"waits for {named([str(found) for found in sorted(missing)], MOST_NAMED)}"
    return _leads_nowhere(obj, live or {}, owned) if model else ""


def _leads_nowhere(route: Manifest, live: Manifest, owned: Mapping[ObjectKey, Manifest]) -> str:
    """Return which subset or port a route newly asks for that is not in the cluster."""
    place = names.key_of(route)
    rule = owned.get(place._replace(kind="DestinationRule"), {}).get("spec") or {}
    there = {subset.get("name") for subset in rule.get("subsets") or []}
    if lacking := subsets_used(route) - subsets_used(live) - there:
        return f"waits for DestinationRule {place.namespace}/{place.name} with version {', '.join(sorted(lacking))}"
    for host, port in sorted(_ports_used(route) - _ports_used(live)):
        service = owned.get(ObjectKey("Service", place.namespace, host), {}).get("spec") or {}
        if port not in {found.get("port") for found in service.get("ports") or []}:
            return f"waits for Service {place.namespace}/{host} with port {port}"
    return ""


def _ports_used(route: Manifest) -> set[tuple[str, int]]:
    """Return (name of a Service, port) of every destination of a route."""
    targets = [target.get("destination") or {} for http in http_of(route) for target in http.get("route") or []]
    return {
        (target.get("host", "").partition(".")[0], target["port"]["number"])
        for target in targets
        if (target.get("port") or {}).get("number")
    }


def sentences(parted: Shares) -> Iterator[tuple[Owner, str]]:
    """Yield a sentence for each owner about what Git has yet to bring."""
    found: dict[Owner, list[str]] = defaultdict(list)
    for key, why in sorted(parted.waiting.items()):
        found[parted.owners[key]].append(f"{key} {why}")
    for key, how in sorted(parted.out_of_step.items()):
        found[parted.owners[key]].append(f"{key} {how}")
    for owner, lines in found.items():
        yield owner, "; ".join(cut(lines, MOST_NAMED))


def stays(changes: Changes, owned: Mapping[ObjectKey, Manifest]) -> dict[ObjectKey, str]:
    """Return the paths in the tree of the live objects that it keeps as they are: nothing renders or deletes them now,
    or requests still come through them. Slots are not among them: they are rendered by number."""
    going = {names.key_of(obj) for obj in changes.deletes} - _bound(changes, owned)
    found = {}
    for key, live in owned.items():
        if key in changes.desired or key in going or catalog.is_slot(live) or "deletionTimestamp" in live["metadata"]:
            continue
        if place := place_of(live):
            found[key] = place
    return found


def place_of(obj: Manifest) -> str | None:
    """Return the path of an object in a tree; None where its labels are odd: the manager never wrote such a file."""
    try:
        return (f"{RUNTIME}/" if is_runtime(obj) else "") + path_of(obj)
    except (Invalid, KeyError, TypeError, AttributeError):
        return None
