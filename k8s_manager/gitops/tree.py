"""The tree that is applied beside the manager: what is Git's, what is made once, and a mark by which the manager
recognises the tree that is applied. Pure.

    kustomization.yaml, gateways/, tenants/
                              applied repeatedly; the manager writes none of it
    mark.yaml                 a ConfigMap that says which tree this is
    runtime/                  made where it is missing; the manager's from then on
    rules/                    examples for Argo CD and Flux, never applied

Nothing in it moves by itself: routes in `runtime/` have the weights of their documents, slots are empty. The route of a
model with a rollout leads to its stable version until a release has ended: its steps are no commits, and a cluster that
is rebuilt begins where nothing is risked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from istio_templates import names
from istio_templates.catalog import render_slot
from istio_templates.documents import ModelSpec, load
from istio_templates.documents.parse import API_VERSION
from istio_templates.errors import Conflict, Invalid, Problem
from istio_templates.facts import GatewayPool, Manifest, ObjectKey, ServedModel, SlotFacts
from istio_templates.virtual_service import virtual_service
from k8s_manager.gitops.commit_message import owner_of_path
from k8s_manager.gitops.layout import (
    KUSTOMIZATION,
    MARK_FILE,
    RUNTIME,
    Layout,
    Tree,
    digest,
    file_text,
    kustomization,
)
from k8s_manager.gitops.ownership import is_runtime, place_of, stays
from k8s_manager.gitops.sync_tool_rules import once, rules
from k8s_manager.pipeline.apply import Basis
from k8s_manager.pipeline.changes import Changes
from k8s_manager.pipeline.facts import arms
from k8s_manager.pipeline.plan import owner_of_document
from k8s_manager.runtime.git_address import Address
from k8s_manager.runtime.memo import Memo
from k8s_manager.traffic.weights import declared
from k8s_manager.world.installation import LABELS, SYSTEM
from k8s_manager.world.owner import Owner
from k8s_manager.world.world import Stored

MARK = ObjectKey("ConfigMap", SYSTEM, "tidegate-tree")
TREE, CLUSTER = "tree", "cluster"
_WITHOUT_OBJECTS = ("AccessGrant", "ModelVersion", "Caller")
"""Documents of which nothing is made that a tree could hold."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What goes into a tree.

    `kept` are the paths of files that stay as they are, by object; so do all files of owners that are `held`, but for
    those that are `leaving`.
    `documents` say of which document's generation (by uid) the rest was made, `owners` as whose their objects are
    labelled; `is_blank`: there is no document at all, not even one that is leaving.
    """

    objects: Mapping[ObjectKey, Manifest] = field(default_factory=dict)
    runtime: Mapping[ObjectKey, Manifest] = field(default_factory=dict)
    kept: Mapping[ObjectKey, str] = field(default_factory=dict)
    held: frozenset[Owner] = frozenset()
    leaving: frozenset[Owner] = frozenset()
    documents: Mapping[ObjectKey, tuple[str, int]] = field(default_factory=dict)
    owners: Mapping[ObjectKey, Owner] = field(default_factory=dict)
    is_blank: bool = False


@dataclass(frozen=True, slots=True)
class Composed:
    """A tree, and the mark in it."""

    tree: Tree
    mark: str


class PartsComposer:
    """Collects what goes into tree after tree; an object that has not changed is not rendered again."""

    def __init__(self, with_overrides: bool) -> None:
        self._with_overrides, self._memo = with_overrides, Memo()

    def parts(self, basis: Basis, changes: Changes, owned: Mapping[ObjectKey, Manifest]) -> Parts:
        """Return what goes into the tree of this moment."""
        world, plan = basis.world, basis.plan
        objects = {key: obj for key, obj in changes.desired.items() if not is_runtime(obj)}
        accepted = [s for s in world.documents() if plan.admission[s.key].accepted and not s.deleting]
        homes = {key: obj for key, obj in changes.desired.items() if key.kind == "Namespace"}
        runtime = {key: self._once(key, obj) for key, obj in homes.items()}
        for pool in plan.pools.values():
            runtime |= self._memo.get(("slots", pool.name), (pool,), partial(_slots, pool))
        for stored in accepted:
            place = (stored.key.namespace, stored.key.name)
            is_open = ObjectKey("VirtualService", *place) in owned and place not in plan.frozen_models
            if is_open and isinstance(stored.spec, ModelSpec) and place in plan.models:
                runtime |= self._route(plan.models[place], stored.spec, stored.status)
        if self._with_overrides:
            standing = [s for s in accepted if s.key in plan.overrides and basis.now < plan.overrides[s.key].expires]
            runtime |= {stored.key: self._override(stored) for stored in standing}
        self._memo.end_round()
        committed = accepted if self._with_overrides else [s for s in accepted if s.key.kind != "LimitOverride"]
        documents = {s.key: (s.uid, s.generation) for s in committed if s.key.kind not in _WITHOUT_OBJECTS}
        owners = {key: owner_of_document(key, plan) for key in documents}
        leaving = {gone.owner for gone in plan.terminating if not gone.waits}
        kept, held = stays(changes, owned), frozenset(plan.frozen)
        return Parts(objects, runtime, kept, held, frozenset(leaving), documents, owners, not world.documents())

    def _once(self, key: ObjectKey, obj: Manifest) -> Manifest:
        return self._memo.get(("once", key), (obj,), partial(once, obj))

    def _route(self, served: ServedModel, spec: ModelSpec, status: Manifest) -> dict[ObjectKey, Manifest]:
        """Return the route of a model as its document has it, whatever is warm or closed now."""
        if served.attached:
            return {}
        weights = _steady_weights(served, spec, status)
        inputs = served, spec, weights
        made = self._memo.get(("route", served.tenant.namespace, served.name), inputs, partial(_route, *inputs))
        return {names.key_of(made): made}

    def _override(self, stored: Stored) -> Manifest:
        return self._memo.get(("override", stored.key), (stored.document,), partial(_document, stored))


class TreeComposer:
    """Composes tree after tree from their parts; a file that has not changed is not written out again."""

    def __init__(self, address: Address) -> None:
        self._rules, self._layout, self._runtime = rules(address), Layout(), Layout()

    def tree(self, parts: Parts, there: Tree, cluster: str) -> Composed:
        """Return the tree of a cluster; `there` is the one that is on the branch, of which it keeps some."""
        kept, kept_runtime = _kept(parts, there)
        tree = self._layout.tree({**kept, **parts.objects})
        head = names.manifest("v1", "ConfigMap", MARK.name, MARK.namespace, LABELS)
        tops = sorted({"/".join(path.split("/")[:2]) for path in tree if path.startswith(("gateways/", "tenants/"))})
        mark = digest(tree)  # of what is applied: what is made once does not make another tree
        tree[MARK_FILE] = file_text({**head, "data": {CLUSTER: cluster, TREE: mark}})
        tree[KUSTOMIZATION] = kustomization([*tops, MARK_FILE])
        runtime = self._runtime.tree({**kept_runtime, **parts.runtime})
        tree |= {**self._rules, **{f"{RUNTIME}/{path}": text for path, text in runtime.items()}}
        return Composed(dict(sorted(tree.items())), mark)


def _steady_weights(served: ServedModel, spec: ModelSpec, status: Manifest) -> dict[str, int]:
    """Return the weights of a model's route that do not move while it is released step by step."""
    rollout = status.get("rollout")
    stable = rollout.get("stable") if spec.rollout is not None and isinstance(rollout, dict) else None
    known = next((version.name for version in served.versions if version.name == stable), None)
    return {known: 100} if known else declared(spec)


def _route(served: ServedModel, spec: ModelSpec, weights: Mapping[str, int]) -> Manifest:
    versions = tuple(replace(one, weight=weights.get(one.name, 0), mirror=0) for one in served.versions)
    closed = served.closed if spec.paused else None
    matches = arms(spec.traffic_matches)
    return once(virtual_service(replace(served, closed=closed, versions=versions, arms=matches)))


def _slots(pool: GatewayPool) -> dict[ObjectKey, Manifest]:
    """Return the slots of a gateway, empty, and without the secret by which the manager asks what pods run."""
    public = replace(pool, probe=None)
    found = [once(obj) for number in range(names.SLOTS) for obj in render_slot(SlotFacts(public, number, ()))]
    return {names.key_of(obj): obj for obj in found}


def _document(stored: Stored) -> Manifest:
    key, document = stored.key, stored.document
    assert document is not None
    obj = names.manifest(API_VERSION, key.kind, key.name, key.namespace, {})
    return once({**obj, "spec": document.spec.model_dump(mode="json", by_alias=True, exclude_none=True)})


def cluster_of(there: Tree) -> str:
    """Return which cluster a tree on a branch is of; empty where it does not say."""
    data = (_read(there.get(MARK_FILE)) or {}).get("data")
    return str(data.get(CLUSTER, "")) if isinstance(data, dict) else ""


def _kept(parts: Parts, there: Tree) -> tuple[dict[ObjectKey, Manifest], dict[ObjectKey, Manifest]]:
    """Return what the tree keeps: of Git's objects, and of what is made once. Raises `Conflict` where another writer
    has changed a file into something else: without it the object would be deleted."""
    found: tuple[dict[ObjectKey, Manifest], dict[ObjectKey, Manifest]] = ({}, {})
    held = [path for path in there if _is_held(path, parts)] if parts.held else []
    wrong = []
    for path in sorted({*parts.kept.values(), *held} & there.keys()):
        obj = _read(there[path])
        if obj is None or path != place_of(obj):
            wrong.append(
                Problem(path, "is retained, and does not contain its object any more; restore it, or delete it")
            )
        else:
            found[is_runtime(obj)][names.key_of(obj)] = obj
    if wrong:
        raise Conflict("the tree", wrong)
    return found


def _is_held(path: str, parts: Parts) -> bool:
    owner = owner_of_path(path)
    if owner is None or {owner, ("", owner[1], "")} & parts.leaving:
        return False
    return owner in parts.held or ("", owner[1], "") in parts.held


def _read(text: str | None) -> Manifest | None:
    """Return the object in a file of the tree; None where it holds something else."""
    try:
        (found,) = load(text or "")
        names.key_of(found)
        return found if isinstance(found["metadata"].get("labels", {}), dict) else None
    except (Invalid, ValueError, KeyError, TypeError, AttributeError):
        return None
