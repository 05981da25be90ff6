"""diff: what the manager has to write so that the cluster is as desired. Pure.

An object is in line when its digest annotation is that of the desired object and no field that the manager sets
differs. The digest tells a field that the manager no longer sets from one that another writer added; the comparison
finds drift.
"""

import logging
import operator
from collections.abc import Iterator, Mapping

from istio_templates.callers.access_retention import with_retained_access
from istio_templates.catalog import stage
from istio_templates.documents.tenant import Drift
from istio_templates.facts import LimitKey, Manifest, ObjectKey
from istio_templates.names import DIGEST
from istio_templates.virtual_service import without
from k8s_manager.drift.compare import is_in_line
from k8s_manager.drift.connection_end import with_known_ends
from k8s_manager.drift.digest import stamped
from k8s_manager.drift.field_policy import NOTE, KeptEdit, annotations_of, resolve
from k8s_manager.drift.pod_defaults import with_pod_defaults
from k8s_manager.pipeline.access.live_access import retained_namespaces, with_idle_access_slots
from k8s_manager.pipeline.changes import Changes, Write
from k8s_manager.pipeline.plan import Plan
from k8s_manager.pipeline.render import Desired
from k8s_manager.pipeline.write_order import (
    DELETE_HOLDS,
    WRITE_HOLDS,
    Situation,
    first_hold,
    with_referenced_subsets,
)
from k8s_manager.traffic.route_gateways import rebindings

log = logging.getLogger(__name__)


class Differ:
    """Compares pass after pass; a pair of objects that was in line and is the same pair still is."""

    def __init__(self) -> None:
        self._kept_edits: dict[ObjectKey, dict[str, KeptEdit]] = {}
        self._in_line: dict[ObjectKey, tuple[object, ...]] = {}
        self._stamped: dict[ObjectKey, tuple[Manifest, Manifest]] = {}
        self._desired: dict[ObjectKey, Manifest] = {}
        self._nothing_to_do: tuple[object, ...] = ()
        self._retained: frozenset[str] = frozenset()

    def diff(
        self,
        plan: Plan,
        desired: Desired,
        owned: Mapping[ObjectKey, Manifest],
        version: int,
        limited: frozenset[tuple[str, LimitKey]],
    ) -> Changes:
        """Return the changes from `owned` (live objects with the manager's label, at `version`) to `desired`.

        Where nothing was to be done, nothing is compared again until one of these is another.
        """
        seen = (id(plan), plan, id(desired), desired, version, limited)
        if self._nothing_to_do == seen:
            return Changes(kept_edits=self._kept_edits, desired=self._desired)
        self._kept_edits = {key: found for key, found in self._kept_edits.items() if key in desired.objects}
        self._desired = {key: obj for key, obj in self._desired.items() if key in desired.objects}
        changes = self._changes(plan, desired, owned, limited)
        self._nothing_to_do = () if changes.writes or changes.deletes else seen
        return changes

    def _changes(
        self,
        plan: Plan,
        desired: Desired,
        owned: Mapping[ObjectKey, Manifest],
        limited: frozenset[tuple[str, LimitKey]],
    ) -> Changes:
        self._retained = retained_namespaces(plan, owned)
        desired = with_idle_access_slots(desired, plan, owned)
        leaving = frozenset(found.owner for found in plan.terminating if not found.waits)
        situation = Situation(
            plan, desired, owned, limited, leaving, rebindings(desired.objects, owned, plan.frozen_models, plan.tenants)
        )
        writes, held, awaited = list[Write](), dict[ObjectKey, str](), list[Manifest]()
        for key, wanted in desired.objects.items():
            if reason := first_hold(WRITE_HOLDS, key, wanted, situation):
                held[key] = reason
                awaited += [wanted] if key not in owned else []
                self._desired.pop(key, None)
                continue
            try:
                self._compare(key, wanted, owned, plan.policy_of(wanted), writes)
            except Exception:  # one unforeseen object must not stop all the others
                log.exception("%s cannot be compared; it stays as it is", key)
        cut, gone = _cut(plan, owned)
        writes += cut
        writes += [Write(stamped(obj), True) for key, obj in desired.slots.items() if key not in owned]
        writes.sort(key=lambda write: stage(write.obj))
        deletes = sorted((*_leftovers(situation, held), *gone), key=stage, reverse=True)
        return Changes(writes, deletes, held, tuple(awaited), kept_edits=self._kept_edits, desired=self._desired)

    def _compare(
        self, key: ObjectKey, wanted: Manifest, owned: Mapping[ObjectKey, Manifest], policy: Drift, writes: list[Write]
    ) -> None:
        live = owned.get(key)
        if live is None:
            self._kept_edits.pop(key, None)
            obj = self._desired[key] = self._stamp(key, with_pod_defaults(wanted, None))
            writes.append(Write(obj, True, policy=policy))
            return
        route = owned.get(key._replace(kind="VirtualService")) if key.kind == "DestinationRule" else None
        wanted = self._known(key, wanted, live, owned)
        compared = (wanted, live, route, policy)
        if all(map(operator.is_, self._in_line.get(key, ()), compared)) and key in self._in_line:
            return
        whole = with_pod_defaults(with_referenced_subsets(wanted, live, route), live, policy)
        obj = self._desired[key] = self._stamp(key, whole)
        annotations = annotations_of(live)
        # Another writer has removed the digest: the manager never writes without.
        unchanged = annotations.get(DIGEST) in (None, obj["metadata"]["annotations"][DIGEST])
        self._kept_edits.pop(key, None)
        if NOTE in annotations:
            settled = resolve(policy, obj, live, unchanged)
            done, self._kept_edits[key] = settled.is_in_line, settled.kept
        else:
            done = is_in_line(obj, live)
        if unchanged and done:
            self._in_line[key] = compared
        else:
            writes.append(Write(obj, False, unchanged, policy, live))

    def _known(self, key: ObjectKey, wanted: Manifest, live: Manifest, owned: Mapping[ObjectKey, Manifest]) -> Manifest:
        """Return the form of a desired object that fits the gateway's live pods, and protects live routes of tenants
        that are not planned; the same object for the same form."""
        if key.kind != "EnvoyFilter":
            return wanted
        found = with_known_ends(with_retained_access(wanted, live, self._retained), live, owned)
        kept = self._stamped.get(key)
        return kept[0] if kept and kept[0] == found else found

    def _stamp(self, key: ObjectKey, wanted: Manifest) -> Manifest:
        found = self._stamped.get(key)
        if found is None or found[0] is not wanted:
            found = self._stamped[key] = (wanted, stamped(wanted))
        return found[1]


def _cut(plan: Plan, owned: Mapping[ObjectKey, Manifest]) -> tuple[list[Write], list[Manifest]]:
    """Return VirtualServices that are kept, without the routes that belong to another tenant now, and those of which
    nothing is left."""
    cut, gone = [], []
    for (namespace, model), places in plan.revoked_routes.items():
        live = owned.get(ObjectKey("VirtualService", namespace, model))
        if live is None or "deletionTimestamp" in live["metadata"]:
            continue
        left = without(live, places)
        if left is None:
            gone.append(live)
        else:
            cut.append(Write(stamped(left), False, base=live))
    return cut, gone


def _leftovers(situation: Situation, held: dict[ObjectKey, str]) -> Iterator[Manifest]:
    """Yield the objects that nothing renders any more and no hold keeps."""
    desired = situation.desired
    for key, live in situation.owned.items():
        if key in desired.objects or key in desired.slots or "deletionTimestamp" in live["metadata"]:
            continue
        if reason := first_hold(DELETE_HOLDS, key, live, situation):
            held[key] = reason
        else:
            yield live
