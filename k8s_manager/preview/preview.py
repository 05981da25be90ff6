"""What changed documents would change: the same plan and render, once without and once with them. Pure.

A preview has a fingerprint of the documents and of all objects that change. Who writes with that fingerprint is refused
once any of it would be different.
"""

import dataclasses
import difflib
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import jsonpatch
import orjson

from istio_templates.documents import ModelSpec, TenantSpec
from istio_templates.documents.tenant import Drift
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.gateway import hosts_of
from istio_templates.yaml_text import yaml_text
from k8s_manager.admission.admit import AdmissionResult
from k8s_manager.drift.field_policy import concessions, settle
from k8s_manager.pipeline.plan import Plan, plan_once
from k8s_manager.pipeline.render import Renderer
from k8s_manager.preview.shift_check import limit
from k8s_manager.world.binding import Binding
from k8s_manager.world.owner import owner_of
from k8s_manager.world.tenant import gateway_name
from k8s_manager.world.world import Stored, World

GROUPS = {
    "InferenceGateway": "gateways",
    "Tenant": "tenants",
    "Model": "models",
    "LimitOverride": "overrides",
    "AccessGrant": "access_grants",
}
"""The kinds that can be planned, each with where the world keeps them."""
LISTENERS = ("Gateway", "EnvoyFilter")
"""What makes a gateway pod drain connections when it changes. Slots are not among them: they are written elsewhere."""
ROUTES = ("VirtualService", "DestinationRule", "Service")
PODS = ("Deployment",)


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One object as it is and as it would be; None where there is none. `wanted` is what it would be if nothing were
    left to others. `adopts`: it is somebody else's until then."""

    key: ObjectKey
    before: Manifest | None
    after: Manifest | None
    wanted: Manifest | None = None
    adopts: bool = False

    @property
    def operation(self) -> str:
        """What would happen to it."""
        if self.adopts:
            return "adopt"
        return "create" if self.before is None else "delete" if self.after is None else "update"

    @property
    def alters(self) -> bool:
        """Tell whether it would be another in what it does, not only in what is noted at it."""
        return (self.before or {}).get("spec") != (self.after or {}).get("spec")

    def told(self) -> Manifest:
        """Return it for people and programs."""
        return {
            "operation": self.operation,
            "object": str(self.key),
            "diff": difference(self.before, self.after, str(self.key)),
            "patch": jsonpatch.make_patch(self.before or {}, self.after or {}).patch,
        }


@dataclass(frozen=True, slots=True)
class Revised:
    """A document as it is and as it would be; None where it is not there."""

    live: Stored | None
    proposed: Stored | None


@dataclass(frozen=True, slots=True)
class Preview:
    """The documents that somebody changes, the objects that would change, and who would no longer be accepted.
    `rejected` are those of the changed documents that would not be, and why. `drift` is the policy of tenants whose
    objects are not all set back, as it would be; `foreign` are objects of others that are taken over, as they are,
    `going` documents that are deleted."""

    documents: tuple[Revised, ...]
    changes: tuple[ObjectChange, ...]
    refused: tuple[str, ...]
    drift: Mapping[str, Drift]
    rejected: Mapping[ObjectKey, AdmissionResult] = field(default_factory=dict)
    foreign: Mapping[ObjectKey, Manifest] = field(default_factory=dict)
    going: tuple[tuple[str, str, int], ...] = ()

    def policy(self, obj: Manifest) -> Drift:
        """Return what becomes of fields of an object that others have set."""
        return self.drift.get(owner_of(obj["metadata"]["labels"])[1], "repair")

    def taken_over(self) -> Iterator[ObjectKey]:
        """Yield the objects that are taken over if they are there."""
        for change in self.changes:
            if change.before is None and change.after and self.policy(change.after) == "adopt":
                yield change.key


@dataclass(frozen=True, slots=True)
class Warm:
    """The warm replicas of each version of a document, as it is and as it would be."""

    before: Mapping[str, int]
    after: Mapping[str, int]


def preview(world: World, proposed: Sequence[Stored], owned: Mapping[ObjectKey, Manifest]) -> Preview:
    """Return what would happen to each object that would not stay as it is, once all documents in `proposed` are there.

    What a document that is not accepted has is kept: such objects neither go nor come. Fields of `owned`, live objects
    that are left to others, stay or go as policy has it.
    """
    there = {stored.key: stored for stored in world.documents()}
    documents = tuple(Revised(there.get(stored.key), stored) for stored in proposed)
    return _between(world, reduce(_with, proposed, world), documents, owned)


def preview_without(
    world: World, going: Collection[ObjectKey], live: Stored | None, owned: Mapping[ObjectKey, Manifest]
) -> Preview:
    """Return what would happen if documents were deleted, `live` and what depends on it."""
    change: Any = {
        group: tuple(stored for stored in getattr(world, group) if stored.key not in going) for group in GROUPS.values()
    }
    found = _between(world, dataclasses.replace(world, **change), (Revised(live, None),), owned)
    documents = [stored for stored in world.documents() if stored.key in going]
    return dataclasses.replace(found, going=tuple((str(s.key), s.uid, s.generation) for s in documents))


def _between(
    world: World, changed: World, documents: tuple[Revised, ...], owned: Mapping[ObjectKey, Manifest]
) -> Preview:
    now, then = _Side.of(world), _Side.of(changed)
    changes = []
    for key in sorted(now.objects.keys() | then.objects.keys()):
        old, new = now.object(key, owned), then.object(key, owned)
        kept = (new is None and then.keeps(old)) or (old is None and now.keeps(new))
        if old != new and not kept:
            changes.append(ObjectChange(key, old, new, then.objects.get(key)))
    keys = [revised.proposed.key for revised in documents if revised.proposed]
    rejected = {key: then.plan.admission[key] for key in keys if not then.plan.admission[key].accepted}
    return Preview(documents, tuple(changes), _refused(now.plan, then.plan), then.plan.drift_policies, rejected)


def told(found: Preview, changes: Sequence[ObjectChange], warm: Sequence[Warm]) -> Manifest:
    """Return a preview: what changes, what it touches, how risky that is and why, and the fingerprint of it all.

    `changes` are those of the preview, as far as can be told with objects as they live; `warm` are the warm replicas of
    each of its documents.
    """
    altered = [change.key.kind for change in changes if change.alters]
    limits = {
        str(stored.key): limit
        for revised, counted in zip(found.documents, warm, strict=True)
        if (stored := revised.proposed or revised.live) and (limit := _limits(revised, counted))
    }
    is_one = len(found.documents) == 1
    fallen = [reason for name, limit in limits.items() for reason in _falls(limit, "" if is_one else f"{name}: ")]
    no_more = [("high", f"{name} is no longer accepted") for name in found.refused]
    reasons = [*_reasons(changes), *fallen, *no_more]
    return {
        "dryRun": True,
        "changes": [change.told() for change in changes],
        "touches": {
            "hosts": sorted({host for change in changes for host in _hosts(change)}),
            "listeners": not set(LISTENERS).isdisjoint(altered),
            "routes": not set(ROUTES).isdisjoint(altered),
            "pods": not set(PODS).isdisjoint(altered),
        },
        "limit": next(iter(limits.values()), None) if is_one else None,
        "limits": limits,
        "risk": max((grade for grade, _ in reasons), key=("low", "medium", "high").index, default="low"),
        "reasons": [said for _, said in reasons],
        "fingerprint": fingerprint(found),
    }


def fingerprint(found: Preview) -> str:
    """Return what is equal only where the documents, what they would become and all objects that change are.

    How many replicas are warm, and with it the limit that is told, is not part of it: that moves all the time.
    """
    documents = sorted((_named(revised), *map(_said, (revised.live, revised.proposed))) for revised in found.documents)
    foreign = sorted((str(key), obj.get("spec")) for key, obj in found.foreign.items())
    seen = [documents, [[str(c.key), c.before, c.after] for c in found.changes], found.refused, foreign, found.going]
    return hashlib.sha256(orjson.dumps(seen, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def _named(revised: Revised) -> str:
    stored = revised.proposed or revised.live
    return str(stored.key) if stored else ""


def _said(stored: Stored | None) -> str:
    """Return what a document says, as a text."""
    if stored is None:
        return ""
    spec = stored.document.spec.model_dump(mode="json") if stored.document else None
    return orjson.dumps([stored.uid, dict(stored.labels), spec], option=orjson.OPT_SORT_KEYS).decode()


def difference(old: Manifest | None, new: Manifest | None, name: str) -> str:
    """Return a unified diff of two manifests."""
    texts = [yaml_text([obj]).splitlines(True) if obj else [] for obj in (old, new)]
    return "".join(difflib.unified_diff(texts[0], texts[1], f"live/{name}", f"proposed/{name}"))


def _limits(revised: Revised, warm: Warm) -> Manifest | None:
    """Return a model's limit before and after, with the replicas that are warm now; None where it has none."""
    found = []
    for stored, counts in ((revised.live, warm.before), (revised.proposed, warm.after)):
        spec = stored.document.spec if stored and stored.document else None
        found.append(float(limit(spec, counts)) if isinstance(spec, ModelSpec) and spec.rate_limit else None)
    return None if found == [None, None] else dict(zip(("before", "after"), found, strict=True))


def _reasons(changes: Sequence[ObjectChange]) -> Iterator[tuple[str, str]]:
    for change in changes:
        kind, said = change.key.kind, f"{change.operation} {change.key}"
        if not change.alters:
            yield "low", f"{said}: what it does stays as it is"
        elif kind in LISTENERS and change.operation != "create":
            yield "high", f"{said}: a listener changes, and its connections are drained"
        elif kind in LISTENERS:
            yield "medium", f"{said}: a listener is added"
        elif change.operation == "delete" and kind in (*ROUTES, *PODS, "Namespace"):
            yield "high", f"{said}: what it serves ends"
        elif change.before and change.after and kind in ROUTES:
            yield "medium", f"{said}: requests take another way"
        elif change.before and change.after and kind in PODS and _template(change.before) != _template(change.after):
            yield "medium", f"{said}: replicas are replaced"


def _falls(limits: Manifest, of: str) -> Iterator[tuple[str, str]]:
    """Yield the risk and the reason where a limit is cut or ends; `of` says whose it is."""
    before, after = limits["before"], limits["after"]
    if before is not None and after is not None and after < before:
        yield "high" if after < before / 2 else "medium", f"{of}the limit falls from {before:g}/s to {after:g}/s"
    if before is not None and after is None:
        yield "high", f"{of}the limit of {before:g}/s is taken away"


def _template(obj: Manifest | None) -> Any:
    return ((obj or {}).get("spec") or {}).get("template")


def _hosts(change: ObjectChange) -> Iterator[str]:
    for obj in (change.before, change.after):
        if change.key.kind == "VirtualService":
            yield from ((obj or {}).get("spec") or {}).get("hosts", ())
        if change.key.kind == "Gateway":
            yield from hosts_of(obj or {})


@dataclass(frozen=True, slots=True)
class _Side:
    """What follows from a world: its plan, and the objects that should be there."""

    plan: Plan
    objects: dict[ObjectKey, Manifest]

    @classmethod
    def of(cls, world: World) -> "_Side":
        plan = plan_once(world)
        return cls(plan, Renderer().render(plan).objects)

    def object(self, key: ObjectKey, owned: Mapping[ObjectKey, Manifest]) -> Manifest | None:
        """Return an object that should be there, without the fields of the live one that are left to others. A
        namespace of somebody else's is neither made nor deleted."""
        wanted, live = self.objects.get(key), owned.get(key)
        if key.kind == "Namespace" and key.name in self.plan.unmanaged_namespaces:
            return None
        if wanted is None or live is None or not concessions(live):
            return wanted
        policy = self.plan.drift_policies.get(owner_of(wanted["metadata"]["labels"])[1], "repair")
        return settle(policy, wanted, live, drifted=False).obj

    def keeps(self, obj: Manifest | None) -> bool:
        """Tell whether an object is kept whatever should be there."""
        owner = owner_of(obj["metadata"].get("labels", {})) if obj else ("", "", "")
        return not {owner, ("", owner[1], "")}.isdisjoint(self.plan.frozen)


def _refused(now: Plan, then: Plan) -> tuple[str, ...]:
    """Return the documents that would no longer be accepted."""
    accepted = {key for key, verdict in now.admission.items() if verdict.accepted}
    return tuple(
        sorted(str(key) for key, verdict in then.admission.items() if key in accepted and not verdict.accepted)
    )


def _with(world: World, proposed: Stored) -> World:
    """Return a world with a document as it would be: a tenant that moves has arrived."""
    group = GROUPS[proposed.key.kind]
    kept = tuple(stored for stored in getattr(world, group) if stored.key != proposed.key)
    change: Any = {group: (*kept, proposed)}
    spec = proposed.document.spec if proposed.document else None
    if isinstance(spec, TenantSpec):
        arrived = Binding((gateway_name(proposed.key.name, spec),))
        change["bindings"] = {**world.bindings, proposed.key.name: arrived}
    return dataclasses.replace(world, **change)
