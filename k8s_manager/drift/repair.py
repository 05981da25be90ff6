"""Repair of objects that other writers have changed, reported in a condition of the document and in an event."""

from collections.abc import Mapping
from dataclasses import dataclass

from istio_templates import names
from istio_templates.documents.tenant import Drift
from istio_templates.errors import Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.field_policy import (
    UNKNOWN,
    DriftResolution,
    kept_edits,
    name_writers,
    resolve,
    without_note,
    writers_of,
)
from k8s_manager.drift.provenance import reject_foreign
from k8s_manager.drift.weight_movers import remedy
from k8s_manager.kube.base_version import read_live
from k8s_manager.kube.errors import FieldConflict
from k8s_manager.kube.event import EventOutbox, event
from k8s_manager.kube.fence import FencedClient
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.sentences import cut
from k8s_manager.runtime.token_bucket import Rate, TokenBuckets
from k8s_manager.world.owner import Owner, owner_of

EVENT_PAUSE = 60.0
MOST_FIELDS = 5
OF_ONE = Rate(0.1, 3)
"""How often one object is set back, so that two writers that fight over it do not load the API server."""
OF_OWNER = Rate(2, 30)
"""How often any object of a tenant, or of a gateway, is set back: one owner's edits do not delay another's repairs."""
OF_ALL = Rate(20, 100)
"""How often any object is set back, routes apart from the rest: a script that changes thousands of objects cannot load
the API server, and workloads do not delay routes."""
_ROUTES = ("Gateway", "VirtualService")
_REASONS: dict[Drift, str] = {"repair": "Repaired", "report": "Reported", "adopt": "Adopted"}
CONTESTED = "Contested"
"""The reason where a controller that moves weights claims a route that Tidegate renders."""


@dataclass(frozen=True, slots=True)
class Repair:
    """An object whose `fields` `writers` had changed, and its owner: all was set back but for the fields in `kept`.
    `fought`: it is changed so often that the next repair has to wait."""

    owner: Owner
    uid: str
    writers: tuple[str, ...]
    kept: tuple[str, ...] = ()
    set_back: bool = True
    policy: Drift = "repair"
    fought: bool = False
    fields: tuple[str, ...] = ()

    def reason(self, key: ObjectKey) -> str:
        """Return the reason of the condition and of the event."""
        if self.set_back and remedy(key.kind, self.writers):
            return CONTESTED
        return _REASONS["repair" if self.set_back else self.policy]

    def sentence(self, key: ObjectKey) -> str:
        """Return what happened, for people."""
        of = f"{', '.join(cut(list(self.fields), MOST_FIELDS))} of " if self.fields else ""
        verb = "were" if len(self.fields) > 1 else "was"
        parts = [f"{of}{key} {verb} changed by {', '.join(self.writers) or UNKNOWN}"]
        if self.kept:
            parts.append(f"the manager kept {', '.join(self.kept)}")
        what = remedy(key.kind, self.writers)
        if self.set_back:
            rest = "the other changes" if self.kept else "the change"
            do = what or "change the document that the object is rendered from instead"
            parts.append(f"the manager set {rest} back; {do}")
        if self.fought:
            pace = f"it is changed often and therefore set back only every {1 / OF_ONE.rate:g} s"
            parts.append(pace if what else f"{pace}; stop the writer")
        return "; ".join(parts)


class RepairLimiter:
    """Token buckets that bound how often objects are set back."""

    def __init__(self, clock: Clock) -> None:
        self._one, self._owner, self._all = (
            TokenBuckets(clock, OF_ONE),
            TokenBuckets(clock, OF_OWNER),
            TokenBuckets(clock, OF_ALL),
        )

    def take(self, key: ObjectKey, owner: Owner) -> float:
        """Return 0 where an object may be set back now, else in how many seconds it may."""
        asked = (
            (self._one, str(key)),
            (self._owner, "/".join(owner[:2])),
            (self._all, "routes" if key.kind in _ROUTES else "rest"),
        )
        return max(bucket.wait(name) for bucket, name in asked) or max(bucket.take(name) for bucket, name in asked)

    def is_fought(self, key: ObjectKey) -> bool:
        """Tell whether an object would have to wait if it were changed once more."""
        return self._one.wait(str(key)) > 0


async def remove_additions(client: FencedClient, obj: Manifest) -> Repair | None:
    """Remove what others have added to an Istio object before it is written, and return the repair with its writers;
    None where the object is gone."""
    live = await read_live(client, names.key_of(obj))
    if live is None:
        return None
    found = resolve("repair", obj, live, drifted=True)
    if found.surplus:
        await client.merge(names.key_of(obj), found.surplus)
    owner, uid = owner_of(live["metadata"].get("labels", {})), live["metadata"]["uid"]
    return Repair(owner, uid, writers_of(live), fields=found.set_back)


def repair_of(
    resolution: DriftResolution, live: Manifest, owner: Owner, policy: Drift, first: bool, fought: bool
) -> Repair | None:
    """Return the repair of a live object by a resolution; None where others have changed nothing new. Nothing is set
    back in an object that is adopted: it was not Tidegate's before."""
    kept = tuple(sorted(resolution.kept.keys() - kept_edits(live).keys()))
    back = () if first else resolution.set_back
    if not kept and not back:
        return None
    by = {who for path in (*kept, *back) for who in writers_of(live, path)}
    return Repair(owner, live["metadata"]["uid"], tuple(sorted(by)), kept, bool(back), policy, fought, tuple(back))


def resolve_drift(live: Manifest, wanted: Manifest, policy: Drift, first: bool, drifted: bool) -> DriftResolution:
    """Return the resolution for a live object, with the writers of kept edits.

    Raises `ForeignObject` for one that another writer made and no document lets Tidegate adopt, `FieldConflict` for one
    that would be adopted but has fields that Tidegate cannot keep.
    """
    is_adopted = first and policy == "adopt"
    if not is_adopted:
        reject_foreign(live, wanted)
    resolution = resolve(policy, wanted, without_note(live) if first else live, drifted or is_adopted)
    if is_adopted and resolution.added:
        key, by = names.key_of(wanted), sorted({who for path in resolution.added for who in writers_of(live, path)})
        problems = [Problem(path, "this field cannot be adopted; remove it") for path in resolution.added]
        conflict = FieldConflict(f"adopt {key}", problems)
        conflict.managers = tuple(by) or (UNKNOWN,)
        raise conflict
    return name_writers(resolution, live)


class DriftEvents:
    """An event beside every object that others have changed, with a pause where two writers fight over it."""

    def __init__(self, outbox: EventOutbox, clock: Clock) -> None:
        self._outbox, self._clock = outbox, clock
        self._told: dict[ObjectKey, float] = {}

    def record(self, repairs: Mapping[ObjectKey, Repair]) -> None:
        """Have the events written that are due."""
        now, time = self._clock.now(), self._clock.utc()
        self._told = {key: at for key, at in self._told.items() if now - at < EVENT_PAUSE}
        for key, repair in repairs.items():
            if key not in self._told:
                self._told[key] = now
                self._outbox.add(event(key, repair.uid, "Warning", repair.reason(key), repair.sentence(key), time))
