"""Who writes what where a Git tree is applied beside the manager. Pure.

What changes at run time stays the manager's: slots, VirtualServices (their weights move, and their lists are atomic),
documents that follow from documents, and the namespaces in which documents stand. Everything else is Git's, and the
manager never writes it, so that no field has two writers. A route waits for what it leads to: the manager opens it when
Git has brought that.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from istio_templates import catalog, names
from istio_templates.facts import Manifest, ObjectKey, Tenancy
from istio_templates.virtual_service import http_of, subsets_used
from k8s_manager.diff import Changes, Write
from k8s_manager.plan import Owner, owner_of

MISSING, OLDER = "is not in the cluster", "is in the cluster as another commit has it"
CHANGED, SURPLUS = "was changed by somebody", "is to go"
MOST_NAMED = 3


def is_runtime(obj: Manifest) -> bool:
    """Tell whether the manager goes on writing an object, whoever applies the tree."""
    if obj["kind"] == "EnvoyFilter":
        return catalog.is_slot(obj)
    return obj["kind"] in ("VirtualService", "InferenceGateway", "Namespace")


@dataclass(frozen=True, slots=True)
class Shares:
    """The changes that are the manager's; how each object of Git's differs from the tree; why a route waits."""

    ours: Changes
    out_of_step: dict[ObjectKey, str] = field(default_factory=dict)
    waiting: dict[ObjectKey, str] = field(default_factory=dict)
    owners: dict[ObjectKey, Owner] = field(default_factory=dict)


def shares(changes: Changes, owned: Mapping[ObjectKey, Manifest], tenants: Mapping[str, Tenancy]) -> Shares:
    """Part changes by who carries them out; `owned` are the live objects with our label."""
    inhabited = {key.namespace for key, live in owned.items() if not is_runtime(live)}
    going = [obj for obj in changes.deletes if is_runtime(obj)]
    ours = replace(changes, writes=[], deletes=[obj for obj in going if not _is_home(obj, inhabited)])
    parted = Shares(ours)
    absent: dict[Owner, list[ObjectKey]] = defaultdict(list)
    for write in changes.writes:
        key, owner = names.key_of(write.obj), owner_of(write.obj["metadata"]["labels"])
        if not is_runtime(write.obj):
            parted.out_of_step[key], parted.owners[key] = _differs(key, write, owned), owner
            if key not in owned:
                absent[owner].append(key)
    for obj in changes.deletes:
        if not is_runtime(obj):
            key = names.key_of(obj)
            parted.out_of_step[key], parted.owners[key] = SURPLUS, owner_of(obj["metadata"].get("labels", {}))
    for write in changes.writes:
        if is_runtime(write.obj):
            key = names.key_of(write.obj)
            if why := _too_early(write.obj, absent, owned, tenants):
                parted.waiting[key], parted.owners[key] = why, owner_of(write.obj["metadata"]["labels"])
            else:
                ours.writes.append(write)
    return parted


def _is_home(obj: Manifest, inhabited: set[str]) -> bool:
    """Tell whether an object is a namespace that holds something of Git's: that goes first."""
    return obj["kind"] == "Namespace" and obj["metadata"]["name"] in inhabited


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

    It is opened when its gateways limit requests and all that is made for it is there; what is open stays open.
    """
    key = names.key_of(obj)
    if key.kind != "VirtualService":
        return ""
    gateway, tenant, model = owner_of(obj["metadata"]["labels"])
    pools = [gateway] if gateway else [pool.name for pool in tenants[tenant].gateways] if tenant in tenants else []
    above = [*((pool, "", "") for pool in pools), ("", tenant, ""), ("", tenant, model)]
    missing = sorted(found for owner in above for found in absent.get(owner, ()))
    if missing and key not in owned:
        return f"waits for {_some(missing)}"
    return _leads_nowhere(obj, owned) if model else ""


def _leads_nowhere(route: Manifest, owned: Mapping[ObjectKey, Manifest]) -> str:
    """Return which subset or port a route asks for that is not in the cluster."""
    place = names.key_of(route)
    rule = owned.get(place._replace(kind="DestinationRule"), {}).get("spec") or {}
    if lacking := subsets_used(route) - {subset["name"] for subset in rule.get("subsets") or []}:
        return f"waits for DestinationRule {place.namespace}/{place.name} with version {', '.join(sorted(lacking))}"
    for host, port in sorted(_ports_used(route)):
        service = owned.get(ObjectKey("Service", place.namespace, host), {}).get("spec") or {}
        if port not in {found["port"] for found in service.get("ports") or []}:
            return f"waits for Service {place.namespace}/{host} with port {port}"
    return ""


def _ports_used(route: Manifest) -> set[tuple[str, int]]:
    """Return (name of a Service, port) of everything that a route leads to."""
    targets = [target["destination"] for http in http_of(route) for target in http.get("route") or []]
    return {(target["host"].partition(".")[0], target["port"]["number"]) for target in targets}


def _some(keys: list[ObjectKey]) -> str:
    more = f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else ""
    return ", ".join(map(str, keys[:MOST_NAMED])) + more


def sentences(parted: Shares) -> Iterator[tuple[Owner, str]]:
    """Yield what each owner is told of what Git has yet to bring."""
    found: dict[Owner, list[str]] = defaultdict(list)
    for key, why in sorted(parted.waiting.items()):
        found[parted.owners[key]].append(f"{key} {why}")
    for key, how in sorted(parted.out_of_step.items()):
        found[parted.owners[key]].append(f"{key} {how}")
    for owner, lines in found.items():
        more = f"; and {len(lines) - MOST_NAMED} more" if len(lines) > MOST_NAMED else ""
        yield owner, "; ".join(lines[:MOST_NAMED]) + more


def stays(changes: Changes, owned: Mapping[ObjectKey, Manifest]) -> dict[ObjectKey, Manifest]:
    """Return the live objects that nothing renders now and nobody deletes either: their documents are refused, or they
    serve on for a while. What the tree has of them stays."""
    going = {names.key_of(obj) for obj in changes.deletes}
    return {
        key: live
        for key, live in owned.items()
        if key not in changes.standing and key not in going and "deletionTimestamp" not in live["metadata"]
    }
