"""Changes: what has to be written and deleted so that the cluster is as it should be."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from istio_templates import names
from istio_templates.documents.tenant import Drift
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.field_policy import KeptEdit
from k8s_manager.traffic.drain import Draining


@dataclass(frozen=True, slots=True)
class Write:
    """An object to apply. `first`: the manager did not own it, so no other writer is pushed aside; `drifted`: another
    writer changed it, and `policy` says whether that stays; `base` is the live object from which this was decided."""

    obj: Manifest
    first: bool
    drifted: bool = False
    policy: Drift = "repair"
    base: Manifest | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What to write, by stage of making, and what to delete, in order.

    `held` says why objects wait, `awaited` are those of them that do not exist yet; `draining` which versions are
    deleted later; `kept_edits` which fields are left to other writers, by object; `desired` is every object as it
    should be now, without those that wait.
    """

    writes: list[Write] = field(default_factory=list)
    deletes: list[Manifest] = field(default_factory=list)
    held: dict[ObjectKey, str] = field(default_factory=dict)
    awaited: tuple[Manifest, ...] = ()
    draining: Draining = field(default_factory=Draining)
    kept_edits: Mapping[ObjectKey, Mapping[str, KeptEdit]] = field(default_factory=dict)
    desired: Mapping[ObjectKey, Manifest] = field(default_factory=dict)


def without(changes: Changes, keys: Collection[ObjectKey]) -> Changes:
    """Return changes that leave some objects as they are for now."""
    if not keys:
        return changes
    return replace(changes, writes=[write for write in changes.writes if names.key_of(write.obj) not in keys])
