"""diff: what has to be written so that the cluster is as it should be. Pure.

An object is in line when its digest annotation is the one of what we want and no field that we set differs. The
digest tells a field that we no longer want from one that somebody else added; the comparison finds drift.
"""

import hashlib
import logging
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from istio_templates import names
from istio_templates.catalog import stage
from istio_templates.documents.tenant import Drift
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.virtual_service import subsets_used, without
from k8s_manager.drift.compare import is_in_line
from k8s_manager.drift.field_policy import NOTE, KeptEdit, annotations_of, resolve
from k8s_manager.pipeline.plan import Plan
from k8s_manager.pipeline.render import Desired
from k8s_manager.traffic.drain import Draining
from k8s_manager.world.owner import owner_of

log = logging.getLogger(__name__)
DIGEST = "tidegate.dev/digest"


@dataclass(frozen=True, slots=True)
class Write:
    """An object to apply. `first`: it was not ours, so nobody is pushed aside; `drifted`: somebody changed it, and
    `policy` says what becomes of that."""

    obj: Manifest
    first: bool
    drifted: bool = False
    policy: Drift = "repair"


@dataclass(slots=True)
class Changes:
    """What to write, by stage of making, and what to delete, in order; which versions are deleted later; which fields
    are left to others, by object; and every object as it should stand now, but those that are held."""

    writes: list[Write] = field(default_factory=list)
    deletes: list[Manifest] = field(default_factory=list)
    draining: Draining = field(default_factory=Draining)
    conceded: Mapping[ObjectKey, Mapping[str, KeptEdit]] = field(default_factory=dict)
    standing: Mapping[ObjectKey, Manifest] = field(default_factory=dict)


class Differ:
    """Compares pass after pass; a pair of objects that was in line and is the same pair still is."""

    def __init__(self) -> None:
        self._conceded: dict[ObjectKey, dict[str, KeptEdit]] = {}
        self._in_line: dict[ObjectKey, tuple[object, ...]] = {}
        self._stamped: dict[ObjectKey, tuple[Manifest, Manifest]] = {}
        self._standing: dict[ObjectKey, Manifest] = {}
        self._nothing_to_do: tuple[object, ...] = ()

    def diff(
        self,
        plan: Plan,
        desired: Desired,
        owned: Mapping[ObjectKey, Manifest],
        version: int,
        limited: frozenset[tuple[str, str]],
    ) -> Changes:
        """Return the changes from `owned` (live objects with our label, at `version`) to `desired`.

        Where nothing was to be done, nothing is looked at again until one of these is another.
        """
        seen = (id(plan), plan, id(desired), desired, version, limited)
        if self._nothing_to_do == seen:
            return Changes(conceded=self._conceded, standing=self._standing)
        self._conceded = {key: found for key, found in self._conceded.items() if key in desired.objects}
        self._standing = {key: obj for key, obj in self._standing.items() if key in desired.objects}
        changes = self._changes(plan, desired, owned, limited)
        self._nothing_to_do = () if changes.writes or changes.deletes else seen
        return changes

    def _changes(
        self, plan: Plan, desired: Desired, owned: Mapping[ObjectKey, Manifest], limited: frozenset[tuple[str, str]]
    ) -> Changes:
        changes = Changes(conceded=self._conceded, standing=self._standing)
        for key, wanted in desired.objects.items():
            lent = key.kind == "Namespace" and key.name in plan.lent
            # A tenant that waits for its own gateway is held, but the gateway itself must come.
            owner = owner_of(wanted["metadata"]["labels"])
            held = owner in plan.held and key.kind != "InferenceGateway"
            if lent or held or _too_early(plan, key, limited):
                self._standing.pop(key, None)
                continue
            try:
                self._compare(key, wanted, owned, plan.drift.get(owner[1], "repair"), changes)
            except Exception:  # one object that nobody foresaw must not stop all the others
                log.exception("%s cannot be compared; it stays as it is", key)
        cut, gone = _cut(plan, owned)
        changes.writes += cut
        changes.writes += [Write(stamped(obj), True) for key, obj in desired.slots.items() if key not in owned]
        changes.writes.sort(key=lambda write: stage(write.obj))
        changes.deletes = sorted((*_leftovers(plan, desired, owned), *gone), key=stage, reverse=True)
        return changes

    def _compare(
        self, key: ObjectKey, wanted: Manifest, owned: Mapping[ObjectKey, Manifest], policy: Drift, changes: Changes
    ) -> None:
        live = owned.get(key)
        if live is None:
            self._conceded.pop(key, None)
            obj = self._standing[key] = self._stamp(key, wanted)
            changes.writes.append(Write(obj, True, policy=policy))
            return
        route = owned.get(key._replace(kind="VirtualService")) if key.kind == "DestinationRule" else None
        compared = (wanted, live, route, policy)
        if all(map(operator.is_, self._in_line.get(key, ()), compared)) and key in self._in_line:
            return
        obj = self._standing[key] = self._stamp(key, with_referenced_subsets(wanted, live, route))
        annotations = annotations_of(live)
        # Somebody has taken the digest away: we never write without.
        unchanged = annotations.get(DIGEST) in (None, obj["metadata"]["annotations"][DIGEST])
        self._conceded.pop(key, None)
        if NOTE in annotations:
            settled = resolve(policy, obj, live, unchanged)
            done, self._conceded[key] = settled.is_in_line, settled.kept
        else:
            done = is_in_line(obj, live)
        if unchanged and done:
            self._in_line[key] = compared
        else:
            changes.writes.append(Write(obj, False, unchanged, policy))

    def _stamp(self, key: ObjectKey, wanted: Manifest) -> Manifest:
        found = self._stamped.get(key)
        if found is None or found[0] is not wanted:
            found = self._stamped[key] = (wanted, stamped(wanted))
        return found[1]


def stamped(obj: Manifest) -> Manifest:
    """Return the object with the digest of what we want in it."""
    digest = hashlib.sha256(orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    annotations = {**obj["metadata"].get("annotations", {}), DIGEST: digest}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def _too_early(plan: Plan, key: ObjectKey, limited: frozenset[tuple[str, str]]) -> bool:
    """Tell whether a route would open before its limit is in force."""
    if key.kind != "VirtualService":
        return False
    limit = plan.limits.get(names.identity(key.namespace, key.name))
    if limit is None or limit.terms.identity in plan.lifted:
        return False
    return any((pool, limit.terms.identity) not in limited for pool in limit.terms.pools)


def with_referenced_subsets(wanted: Manifest, live: Manifest, route: Manifest | None) -> Manifest:
    """Return a DestinationRule that still has the subsets to which the live VirtualService sends requests."""
    if route is None:
        return wanted
    ours = {subset["name"] for subset in wanted["spec"]["subsets"]}
    needed = subsets_used(route) - ours
    kept = [subset for subset in live.get("spec", {}).get("subsets", []) if subset["name"] in needed]
    return {**wanted, "spec": {**wanted["spec"], "subsets": [*wanted["spec"]["subsets"], *kept]}} if kept else wanted


def _cut(plan: Plan, owned: Mapping[ObjectKey, Manifest]) -> tuple[list[Write], list[Manifest]]:
    """Return VirtualServices that are kept, without those routes that are another tenant's by now, and those of which
    nothing is left."""
    cut, gone = [], []
    for (namespace, model), places in plan.revoked.items():
        live = owned.get(ObjectKey("VirtualService", namespace, model))
        if live is None or "deletionTimestamp" in live["metadata"]:
            continue
        left = without(live, places)
        if left is None:
            gone.append(live)
        else:
            cut.append(Write(stamped(left), False))
    return cut, gone


def _leftovers(plan: Plan, desired: Desired, owned: Mapping[ObjectKey, Manifest]) -> Iterable[Manifest]:
    leaving = {gone.owner for gone in plan.leaving if not gone.waits}
    for key, live in owned.items():
        if key in desired.objects or key in desired.slots or "deletionTimestamp" in live["metadata"]:
            continue
        labels = live["metadata"].get("labels", {})
        owner = owner_of(labels)
        if owner not in leaving and {owner, ("", owner[1], "")} & plan.held:
            continue
        if key.kind == "Deployment" and _still_serves(key, labels, desired, owned):
            continue
        yield live


def _still_serves(
    key: ObjectKey, labels: Mapping[str, str], desired: Desired, owned: Mapping[ObjectKey, Manifest]
) -> bool:
    """Tell whether requests go to a version that nobody else's pods stand for now."""
    model, version = labels.get(names.MODEL, ""), labels.get(names.VERSION)
    rule = desired.objects.get(ObjectKey("DestinationRule", key.namespace, model))
    others = [subset for subset in rule["spec"]["subsets"] if subset["name"] == version] if rule else []
    if any(subset["labels"].get(names.VERSION) != version for subset in others):
        return False
    return version in subsets_used(owned.get(ObjectKey("VirtualService", key.namespace, model), {}))
