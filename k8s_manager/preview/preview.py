"""Preview of a write: what the same plan and render give with changed documents and without them. Pure.

A preview has a fingerprint of the documents and of all objects that change. A write with that fingerprint is rejected
once any of it would be different.
"""

import dataclasses
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce
from typing import Any

import orjson

from istio_templates.documents import TenantSpec
from istio_templates.documents.tenant import Drift
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.admission.admit import AdmissionResult
from k8s_manager.admission.rules.warmup_rules import PlanChecks
from k8s_manager.callers.expiry import with_lapsed
from k8s_manager.drift.field_policy import kept_edits, resolve
from k8s_manager.drift.pod_defaults import with_pod_defaults
from k8s_manager.pipeline.plan import Plan, plan_once
from k8s_manager.pipeline.render import Desired, Renderer
from k8s_manager.preview.override_notes import override_notes
from k8s_manager.world.owner import owner_of
from k8s_manager.world.tenant import gateway_name
from k8s_manager.world.tenant_gateways import Binding
from k8s_manager.world.world import Stored, World

GROUPS = {
    "InferenceGateway": "gateways",
    "Tenant": "tenants",
    "Model": "models",
    "LimitOverride": "overrides",
    "AccessGrant": "access_grants",
    "ModelVersion": "model_versions",
    "Caller": "callers",
}
"""The kinds that can be previewed, each with where the world keeps them."""


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One object `before` and `after` a write; None where it does not exist. `wanted` is `after` without kept edits of
    others. `adopts`: the write takes the object over from another owner."""

    key: ObjectKey
    before: Manifest | None
    after: Manifest | None
    wanted: Manifest | None = None
    adopts: bool = False

    @property
    def operation(self) -> str:
        """What the write does with the object."""
        if self.adopts:
            return "adopt"
        return "create" if self.before is None else "delete" if self.after is None else "update"

    @property
    def alters(self) -> bool:
        """Tell whether the object's function changes, and not only its metadata."""
        return (self.before or {}).get("spec") != (self.after or {}).get("spec")


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """A document as it is and as it is proposed; None where it does not exist."""

    live: Stored | None
    proposed: Stored | None


@dataclass(frozen=True, slots=True)
class Preview:
    """The documents that are written, the objects that change, and which documents are `no_longer_accepted`.

    `rejected` are the admission results of written documents that are not accepted. `drift` is, by tenant, the policy
    after the write where it is not to set everything back; `foreign` are live objects of other owners that are adopted,
    `deleted` the documents that are deleted, as (key, UID, generation). `states` are what follows from the documents
    before and after, `notes` what written overrides replace, and how releases go.
    """

    documents: tuple[DocumentChange, ...]
    changes: tuple[ObjectChange, ...]
    no_longer_accepted: tuple[str, ...]
    drift: Mapping[str, Drift]
    rejected: Mapping[ObjectKey, AdmissionResult] = field(default_factory=dict)
    foreign: Mapping[ObjectKey, Manifest] = field(default_factory=dict)
    deleted: tuple[tuple[str, str, int], ...] = ()
    states: tuple["RenderedWorld", "RenderedWorld"] | None = field(default=None, compare=False)
    notes: tuple[str, ...] = ()

    def policy(self, obj: Manifest) -> Drift:
        """Return the drift policy of an object's tenant."""
        return self.drift.get(owner_of(obj["metadata"]["labels"])[1], "repair")

    def adoptable(self) -> Iterator[ObjectKey]:
        """Yield the objects that are adopted if they exist."""
        for change in self.changes:
            if change.before is None and change.after and self.policy(change.after) == "adopt":
                yield change.key


def preview_writes(
    world: World, proposed: Sequence[Stored], owned: Mapping[ObjectKey, Manifest], plans: PlanChecks, at: datetime
) -> Preview:
    """Return what happens to every object that changes once all documents in `proposed` are written, `at` a moment.

    A document that is not accepted keeps its objects: they are neither deleted nor created. Edits of others in `owned`,
    the live objects, are kept or set back by policy.
    """
    live = {stored.key: stored for stored in world.documents()}
    documents = tuple(DocumentChange(live.get(stored.key), stored) for stored in proposed)
    overrides = [stored.key for stored in proposed if stored.key.kind == "LimitOverride"]
    return _compare(world, reduce(_with, proposed, world), documents, owned, plans, overrides, at)


def preview_deletion(
    world: World,
    deleted: Collection[ObjectKey],
    live: Stored | None,
    owned: Mapping[ObjectKey, Manifest],
    plans: PlanChecks,
    at: datetime,
) -> Preview:
    """Return what happens if documents are deleted, `live` and those that depend on it."""
    change: Any = {
        group: tuple(stored for stored in getattr(world, group) if stored.key not in deleted)
        for group in GROUPS.values()
    }
    changed = dataclasses.replace(world, **change)
    overrides = [key for key in deleted if key.kind == "LimitOverride"]
    found = _compare(world, changed, (DocumentChange(live, None),), owned, plans, overrides, at)
    documents = [stored for stored in world.documents() if stored.key in deleted]
    return dataclasses.replace(found, deleted=tuple((str(s.key), s.uid, s.generation) for s in documents))


def fingerprint(preview: Preview) -> str:
    """Return a digest that is equal only where the documents, what they become and all objects that change are.

    The number of warm replicas, and the limit that follows from it, is not part of it: it changes all the time.
    """
    documents = sorted((_name(change), *map(_content, (change.live, change.proposed))) for change in preview.documents)
    foreign = sorted((str(key), obj.get("spec")) for key, obj in preview.foreign.items())
    changes = [[str(change.key), change.before, change.after] for change in preview.changes]
    digested = [documents, changes, preview.no_longer_accepted, foreign, preview.deleted]
    return hashlib.sha256(orjson.dumps(digested, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def _compare(
    world: World,
    changed: World,
    documents: tuple[DocumentChange, ...],
    owned: Mapping[ObjectKey, Manifest],
    plans: PlanChecks,
    overrides: Collection[ObjectKey],
    at: datetime,
) -> Preview:
    now, then = (RenderedWorld.of(with_lapsed(one, at), plans, owned) for one in (world, changed))
    changes = []
    for key in sorted(now.objects.keys() | then.objects.keys()):
        old, new = now.object(key, owned), then.object(key, owned)
        kept = (new is None and then.keeps(old)) or (old is None and now.keeps(new))
        if old != new and not kept:
            changes.append(ObjectChange(key, old, new, then.objects.get(key)))
    keys = [change.proposed.key for change in documents if change.proposed]
    admission, lost = then.plan.admission, _no_longer_accepted(now.plan, then.plan)
    rejected = {key: admission[key] for key in keys if not admission[key].accepted}
    notes = override_notes(now.plan, then.plan, overrides, at)
    return Preview(
        documents,
        tuple(changes),
        lost,
        then.plan.drift_policies,
        rejected,
        states=(now, then),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class RenderedWorld:
    """What follows from a world: its plan, and the desired objects."""

    world: World
    plan: Plan
    desired: Desired

    @property
    def objects(self) -> dict[ObjectKey, Manifest]:
        """The desired objects."""
        return self.desired.objects

    @classmethod
    def of(cls, world: World, plans: PlanChecks, owned: Mapping[ObjectKey, Manifest]) -> "RenderedWorld":
        """Return what follows from a world, beside the live objects `owned`."""
        plan = plan_once(world, plans=plans)
        desired = Renderer().render(plan)
        found = {
            key: with_pod_defaults(obj, owned.get(key), plan.policy_of(obj)) for key, obj in desired.objects.items()
        }
        return cls(world, plan, replace(desired, objects=found))

    def object(self, key: ObjectKey, owned: Mapping[ObjectKey, Manifest]) -> Manifest | None:
        """Return a desired object without the fields of the live one whose edits are kept. A namespace of another owner
        is neither created nor deleted."""
        wanted, live = self.objects.get(key), owned.get(key)
        if key.kind == "Namespace" and key.name in self.plan.unmanaged_namespaces:
            return None
        if wanted is None or live is None or not kept_edits(live):
            return wanted
        return resolve(self.plan.policy_of(wanted), wanted, live, drifted=False).obj

    def keeps(self, obj: Manifest | None) -> bool:
        """Tell whether an object stays whatever is desired: its document is not accepted."""
        owner = owner_of(obj["metadata"].get("labels", {})) if obj else ("", "", "")
        return not {owner, ("", owner[1], "")}.isdisjoint(self.plan.frozen)


def _name(change: DocumentChange) -> str:
    stored = change.proposed or change.live
    return str(stored.key) if stored else ""


def _content(stored: Stored | None) -> str:
    """Return the content of a document as a text."""
    if stored is None:
        return ""
    spec = stored.document.spec.model_dump(mode="json") if stored.document else None
    return orjson.dumps([stored.uid, dict(stored.labels), spec], option=orjson.OPT_SORT_KEYS).decode()


def _no_longer_accepted(now: Plan, then: Plan) -> tuple[str, ...]:
    accepted = {key for key, result in now.admission.items() if result.accepted}
    return tuple(sorted(str(key) for key, result in then.admission.items() if key in accepted and not result.accepted))


def _with(world: World, proposed: Stored) -> World:
    """Return a world with a document as it is proposed: a tenant that migrates has arrived."""
    group = GROUPS[proposed.key.kind]
    kept = tuple(stored for stored in getattr(world, group) if stored.key != proposed.key)
    change: Any = {group: (*kept, proposed)}
    spec = proposed.document.spec if proposed.document else None
    if isinstance(spec, TenantSpec):
        arrived = Binding((gateway_name(proposed.key.name, spec),))
        change["bindings"] = {**world.bindings, proposed.key.name: arrived}
    return dataclasses.replace(world, **change)
