"""What the REST API does: read documents, check and write them, say what a write would change."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from collectors.replicas import present
from istio_templates import names
from istio_templates.documents import Document, ModelSpec, TenantSpec, parse
from istio_templates.documents.parse import API_VERSION
from istio_templates.errors import Conflict, Invalid, NotFound, Outdated, Problem, Waiting
from istio_templates.facts import Manifest, ObjectKey, WarmupFacts
from k8s_manager.admission.admit import rejections
from k8s_manager.admission.incremental_index import IncrementalIndex
from k8s_manager.api import paging
from k8s_manager.api.preconditions import WHATEVER, require
from k8s_manager.api.services.document_bodies import (
    completed,
    edited,
    generation,
    marked,
    namespace_of,
    require_not_over,
    routes_in,
    shown,
    user_metadata,
)
from k8s_manager.api.services.write_locks import WriteLocks
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.dataplane.config_probe import ConfigProbeLoop
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.gitops.tree_loop import TreeLoop
from k8s_manager.history.recorder import KINDS as RECORDED
from k8s_manager.history.recorder import HistoryRecorder
from k8s_manager.history.revision import ChangeAuthor, mark
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Refused, WriteConflict
from k8s_manager.kube.merge_patch import merged_patch
from k8s_manager.kube.own_namespace import ensure_namespace
from k8s_manager.kube.store import Store
from k8s_manager.kube.watch import Watcher
from k8s_manager.limits.limit_view import LimitView, LimitViews
from k8s_manager.preview.dry_run import DryRunner
from k8s_manager.preview.preview import GROUPS
from k8s_manager.preview.shift_check import objections
from k8s_manager.reconcile import MainLoop
from k8s_manager.runtime.events import Events
from k8s_manager.traffic.weights import declared
from k8s_manager.warmup_gate.gate_loop import GateLoop
from k8s_manager.warmup_gate.measurement_lease import reserve
from k8s_manager.warmup_gate.progress import PodProgress
from k8s_manager.world.installation import SYSTEM
from k8s_manager.world.labels import version_labels
from k8s_manager.world.world import World

NAMESPACE_SECONDS = 10.0
ATTEMPTS = 8

LEAVING = ("InferenceGateway", "Tenant", "Model")
"""Documents that stay until what was made of them is gone."""


class Backend:
    """Everything that handlers call."""

    def __init__(
        self,
        client: KubeClient,
        store: Store,
        loop: MainLoop,
        limits: LimitViews,
        proofs: ConfigProbeLoop,
        gates: GateLoop,
        events: Events,
        watchers: Sequence[Watcher],
        history: HistoryRecorder,
        tree: TreeLoop | None,
    ) -> None:
        self._client, self._store, self._loop = client, store, loop
        self.limits, self.proofs, self.events, self._watchers = limits, proofs, events, watchers
        self.gates, self.history, self.tree = gates, history, tree
        self._gatherer = WorldReader(store, documents=loop.gatherer.documents)
        self._turns, self._ledger = WriteLocks(), IncrementalIndex(loop.plan_checks)
        self._dry_run = DryRunner(client, store, self._gatherer, loop.traffic, loop.plan_checks)

    def unready(self) -> str | None:
        """Return why the API cannot be trusted yet; None when it can."""
        if not self._store.synced.is_set():
            waiting = next((watcher.problem for watcher in self._watchers if watcher.problem), "reading the cluster")
            return f"not everything has been read yet: {waiting}"
        return None if self._loop.passed.is_set() else "the first pass is under way"

    def many(self, kind: str, namespace: str = "") -> list[Manifest]:
        """Return all documents of a kind (in a namespace), by name and namespace."""
        self._require_sync()
        found = self._store.inside(kind, namespace) if namespace else list(self._store.all(kind))
        return sorted(found, key=paging.place)

    def one(self, key: ObjectKey) -> Manifest:
        """Return a document; raises `NotFound`."""
        return shown(self._live(key))

    def holds(self, key: ObjectKey) -> bool:
        """Tell whether a document is there."""
        self._require_sync()
        return self._store.get(key) is not None

    def tenant_of(self, namespace: str) -> str | None:
        """Return the tenant that holds a namespace, as the namespace itself says."""
        found = self._store.get(ObjectKey("Namespace", "", namespace))
        return (found["metadata"].get("labels") or {}).get(names.TENANT) if found else None

    def namespace(self, tenant: str) -> str:
        """Return the namespace of a tenant; raises `NotFound`, or `Conflict` where it is held by another."""
        namespace = namespace_of(self._live(ObjectKey("Tenant", "", tenant)))
        if self._store.get(ObjectKey("Namespace", "", namespace)) and self.tenant_of(namespace) != tenant:
            said = f"{namespace} is not this tenant's; give it a namespace of its own, or make the tenant anew"
            raise Conflict(f"Tenant {tenant}", [Problem("spec.namespace", said)])
        return namespace

    def warmth(self, key: ObjectKey) -> tuple[WarmupFacts | None, list[PodProgress]]:
        """Return how a model is warmed up, and how far its replicas have come; raises `NotFound`."""
        self.one(key)
        served = self._loop.plan.models.get((key.namespace, key.name))
        if served is None or served.warmup is None:
            return None, []
        return served.warmup, self.gates.view(key.namespace, {v.name: v.labels for v in served.versions})

    def limit(self, key: ObjectKey) -> tuple[Manifest | None, Mapping[str, LimitView]]:
        """Return what a model's status says of its limit, and the limit on each of its gateways as it is now."""
        live = self._live(key)
        attached = (live.get("spec") or {}).get("attachTo") or {}
        view = self.limits.view(names.identity(key.namespace, attached.get("virtualService", key.name)))
        return live.get("status", {}).get("limit"), view

    def spec(self, key: ObjectKey) -> ModelSpec:
        """Return the spec of a model; raises `NotFound` or, where it cannot be read, `Invalid`."""
        spec = parse(self._live(key)).spec
        assert isinstance(spec, ModelSpec)
        return spec

    async def put(
        self,
        key: ObjectKey,
        body: Manifest,
        write: WriteRequest,
        made_from: Manifest | None = None,
    ) -> tuple[Manifest, bool]:
        """Write a whole document; return it (or, with a dry run, what would change) and whether it is new. One that was
        `made_from` another is not written where that has been edited meanwhile."""
        await self._namespaced(key)
        if write.dry_run:
            document, live = self._writable(key, body, made_from)
            return await self._dry_run.report(await self._dry_run.preview_writes((document, body))), live is None
        async with self._turns.writing(key):
            document, live = self._writable(key, body, made_from)
            require(live, write.match, key)
            self._turns.pending[key] = document  # before anything is waited for: nobody else gets what it claims
            if write.planned is not None:
                self._dry_run.require_unchanged(await self._dry_run.preview_writes((document, body)), write.planned)
            await ensure_namespace(self._client, self._store, key.namespace)
            return shown(await self._write(document, marked(body, live, write.change), live, write.match)), live is None

    async def plan(self, bodies: Sequence[Manifest]) -> Manifest:
        """Return what writing several documents would change; they may need each other."""
        self._require_sync()
        writes: dict[ObjectKey, tuple[Document, Manifest]] = {}
        problems = []
        for number, raw in enumerate(bodies):
            place = f"documents.{number}"
            try:
                document, body = self._plannable(raw)
            except Invalid as error:
                problems += [Problem(f"{place}.{p.field}".rstrip("."), p.message) for p in error.problems]
                continue
            if document.key in writes:
                problems.append(Problem(place, f"{document} stands twice"))
            writes[document.key] = (document, body)
        if problems:
            raise Invalid("the documents", problems)
        planned = await self._dry_run.preview_writes(*writes.values())
        refused = planned.preview.rejected
        told = [
            Problem(f"{key} {problem.field}".rstrip(), problem.message)
            for key, verdict in refused.items()
            for problem in verdict.problems
        ]
        if refused:
            is_wrong = any(verdict.reason == "Invalid" for verdict in refused.values())
            raise (Invalid if is_wrong else Conflict)("the documents", told)
        return {
            **await self._dry_run.report(planned),
            "documents": [str(document) for document, _ in writes.values()],
        }

    def _plannable(self, body: Manifest) -> tuple[Document, Manifest]:
        """Return the document in a body that names itself, if its kind can be written here; an override that names no
        namespace is the operators'."""
        metadata = body.get("metadata")
        if body.get("kind") == "LimitOverride" and isinstance(metadata, dict) and not metadata.get("namespace"):
            body = {**body, "metadata": {**metadata, "namespace": SYSTEM}}
        document = parse(body)
        if document.kind not in GROUPS:
            said = f"{document.kind} is not written by this API; use kubectl"
            raise Invalid(str(document), [Problem("kind", said)])
        require_not_over(document, datetime.now(UTC))
        live = self._store.get(document.key)
        if live and "deletionTimestamp" in live["metadata"]:
            raise Invalid(str(document), [Problem("", "is being deleted; wait until it is gone")])
        return document, body

    def _writable(self, key: ObjectKey, body: Manifest, made_from: Manifest | None) -> tuple[Document, Manifest | None]:
        """Return the document in a body, and what is there now, if the one may be written over the other."""
        document, live = self._checked(key, body), self._store.get(key)
        if made_from and (live is None or edited(live) != edited(made_from)):
            raise Outdated(f"{key} has been changed meanwhile; repeat the change")
        if live and "deletionTimestamp" in live["metadata"]:
            raise Conflict(str(key), [Problem("", "is being deleted; wait until it is gone, then make it anew")])
        return document, live

    async def patch(self, key: ObjectKey, patch: Manifest, write: WriteRequest) -> Manifest:
        """Merge a patch (RFC 7396) into a document."""
        live = self._live(key)
        merged = merged_patch({"spec": live["spec"]}, {"spec": patch.get("spec", {})})
        extra = {name: value for name, value in patch.items() if name != "spec"}
        answer, _ = await self.put(key, {**extra, **merged}, replace(write, match=write.match or WHATEVER), live)
        return answer

    @asynccontextmanager
    async def promised(self, key: ObjectKey, body: Manifest) -> AsyncIterator[None]:
        """Keep for a document what it is going to hold, until the block ends."""
        document = self._turns.promised[key] = parse(completed(key, body))
        try:
            yield
        finally:
            if self._turns.promised.get(key) is document:
                del self._turns.promised[key]

    async def delete(self, key: ObjectKey, cascade: bool, write: WriteRequest) -> Manifest:
        """Delete a document; what others depend on only with `cascade`."""
        if write.dry_run:
            going = self._going(key, cascade, write.match)
            told = await self._dry_run.report(self._dry_run.preview_deletion(going))
            return {**told, "documents": [str(gone) for gone in going]}
        async with self._turns.deleting():
            going = self._going(key, cascade, write.match)
            if write.planned is not None:
                self._dry_run.require_unchanged(self._dry_run.preview_deletion(going), write.planned)
            for gone in going:
                await self._delete(gone, write.match if gone == key else None, write.change)
            return {"deleted": [str(gone) for gone in going]}

    def _going(self, key: ObjectKey, cascade: bool, match: str | None) -> list[ObjectKey]:
        """Return what is deleted with a document, itself last; raises `Conflict` where it is in use."""
        require(self._live(key), match or WHATEVER, key)
        dependents = self._dependents(key)
        if dependents and not cascade:
            listed = ", ".join(dependent.name for dependent in dependents)
            message = f"is in use by {dependents[0].kind} {listed}; delete them first, or say ?cascade=true"
            raise Conflict(str(key), [Problem("", message)])
        if key.kind == "Tenant":
            self._require_no_guests(key)
        below = (dependent for used in dependents for dependent in [*self._dependents(used), used])
        return list(dict.fromkeys([*below, key]))

    async def _delete(self, key: ObjectKey, match: str | None, change: ChangeAuthor | None) -> None:
        """Delete a document that is still the one that the caller has seen, whatever this manager's store knows yet."""
        for _ in range(ATTEMPTS):
            live = await self._client.get(key)
            require(live, match or WHATEVER, key)
            try:
                live = await self._told_of_its_end(key, live, change)
                version = live["metadata"]["resourceVersion"] if match else None
                await self._client.delete(key, live["metadata"]["uid"], version)
                return
            except WriteConflict:  # a status was written meanwhile, or the document
                continue
        raise Conflict(str(key), [Problem("", "changes all the time; try again")])

    async def _told_of_its_end(self, key: ObjectKey, live: Manifest, change: ChangeAuthor | None) -> Manifest:
        """Mark a document with who deletes it and why, for the commit that takes its manifests away."""
        if self.tree is None or change is None or key.kind not in LEAVING:
            return live
        metadata = {"annotations": mark(change, live), "resourceVersion": live["metadata"]["resourceVersion"]}
        try:
            return await self._client.merge(key, {"metadata": metadata})
        except Refused:  # it was written under another schema; it may go all the same
            return live

    async def scale(self, key: ObjectKey, version: str, replicas: Any, write: WriteRequest) -> Manifest:
        """Set the replicas of a version whose pods are ours."""
        spec = self._live(key)["spec"]
        found = next((v for v in spec["versions"] if v["name"] == version), None)
        if found is None:
            names = ", ".join(v["name"] for v in spec["versions"])
            raise NotFound(f"{key} has no version {version!r}; versions are {names}")
        if "workload" not in found:
            raise Conflict(
                str(key), [Problem("replicas", f"version {version} is run by somebody else; scale it there")]
            )
        scaled = {**found, "workload": {**found["workload"], "replicas": replicas}}
        versions = [scaled if v["name"] == version else v for v in spec["versions"]]
        return await self.patch(key, {"spec": {"versions": versions}}, write)

    async def traffic(self, key: ObjectKey, shares: Any, force: bool, write: WriteRequest) -> Manifest:
        """Move the traffic of a model to other shares; raises `Conflict` where its warm replicas cannot carry that,
        unless `force` lets the limit fall."""
        spec = self._live(key)["spec"]
        body = {"spec": {**spec, "traffic": shares}}
        after = parse(completed(key, body)).spec
        before = self.spec(key)
        assert isinstance(after, ModelSpec)
        found = objections(before, after, self._gatherer.pods.ready(key.namespace, key.name, after))
        if found and not force:
            raise Conflict(str(key), found)
        return await self.patch(key, {"spec": {"traffic": shares}}, write)

    async def reserve(self, key: ObjectKey, holder: str, seconds: int) -> datetime:
        """Keep other measurements off a model; raises `NotFound`, or `Conflict` while another has it."""
        self._live(key)
        await ensure_namespace(self._client, self._store, SYSTEM)
        return await reserve(self._client, key, holder, seconds, datetime.now(UTC))

    def replicas(self, key: ObjectKey) -> list[Manifest]:
        """Return the replicas of a model that stay: version, address, whether each takes requests, and its version's
        weight."""
        spec = self.spec(key)
        served = self._loop.plan.models.get((key.namespace, key.name))
        weights = declared(spec)
        versions = (
            [(version.name, version.labels, version.weight) for version in served.versions]
            if served
            else [(v.name, version_labels(key.name, v), weights.get(v.name, 0)) for v in spec.versions]
        )
        return [
            {
                "name": pod.name,
                "version": version,
                "address": pod.address,
                "ready": pod.ready and (pod.proved or spec.warmup.how != "gate"),
                "weight": weight,
            }
            for version, labels, weight in versions
            for pod in present(self._gatherer.pods.of_namespace(key.namespace), labels)
            if not pod.leaving
        ]

    def _require_sync(self) -> None:
        if (reason := self.unready()) is not None:
            raise Waiting(f"{reason}; try again soon", 1)

    def _live(self, key: ObjectKey) -> Manifest:
        self._require_sync()
        obj = self._store.get(key)
        if obj is None:
            raise NotFound(f"there is no {key}")
        return obj

    def _claims(self) -> World:
        found = self._gatherer.claims()
        self._gatherer.end_round(len(found.models))
        return replace(found, bindings=self._loop.traffic.bindings(found, datetime.now(UTC)))

    def _checked(self, key: ObjectKey, body: Manifest) -> Document:
        """Return the document in a body if it is right in itself and takes nothing from others."""
        self._require_sync()
        document = parse(completed(key, body))
        require_not_over(document, datetime.now(UTC))
        index = self._ledger.update(self._claims(), self._loop.world, self._loop.plan.admission, self._turns.coming())
        index.ungated |= self._gatherer.pods.ungated(document)
        found = rejections(document, index, self._loop.plan_checks)
        if not found:
            return document
        problems = [rejection.problem for rejection in found]
        if all(rejection.reason == "NotFound" for rejection in found):
            raise NotFound(f"{document}: {problems[0]}")
        if any(rejection.reason == "Invalid" for rejection in found):
            raise Invalid(str(document), problems)
        raise Conflict(str(document), problems)

    async def _write(self, document: Document, body: Manifest, live: Manifest | None, match: str | None) -> Manifest:
        spec = body.get("spec", {})
        if live is None:
            metadata = {"name": document.name, **user_metadata(body)}
            if document.namespace:
                metadata["namespace"] = document.namespace
            obj = {"apiVersion": API_VERSION, "kind": document.kind, "metadata": metadata, "spec": spec}
            answer = await self._client.create(obj)
        else:
            metadata = {**live["metadata"], **user_metadata(body)}
            try:
                answer = await self._replace(live, {**live, "metadata": metadata, "spec": spec})
            except Conflict as error:
                if match in (None, WHATEVER):
                    raise
                raise Outdated(f"{document} has just been changed by somebody else; read it again") from error
        if answer["kind"] in RECORDED and (live is None or generation(answer) != generation(live)):
            # The store forgets who wrote what.
            self.history.soon({**answer, "metadata": {**answer["metadata"]}})
        self._store.put(answer)
        return answer

    async def _replace(self, live: Manifest, wanted: Manifest) -> Manifest:
        """Replace a document; our own writes of its status meanwhile are no change of it."""
        for _ in range(ATTEMPTS):
            try:
                return await self._client.replace(wanted)
            except WriteConflict as error:
                conflict = error
            newer = await self._client.get(names.key_of(live))
            if edited(newer) != edited(live):
                break
            wanted = {**newer, "metadata": {**newer["metadata"], **user_metadata(wanted)}, "spec": wanted["spec"]}
        said = [Problem("", "has just been changed by somebody else; try again")]
        raise Conflict(str(names.key_of(live)), said) from conflict

    async def _namespaced(self, key: ObjectKey) -> None:
        """Wait for the namespace of a tenant that is very new."""
        if key.namespace == SYSTEM:
            return
        deadline = asyncio.get_running_loop().time() + NAMESPACE_SECONDS
        while key.namespace and self._store.get(ObjectKey("Namespace", "", key.namespace)) is None:
            if asyncio.get_running_loop().time() > deadline:
                message = f"namespace {key.namespace} is not there yet; look at the tenant's conditions"
                raise Waiting(message, 2)
            await asyncio.sleep(0.05)

    def _require_no_guests(self, key: ObjectKey) -> None:
        """Make sure that no other tenant serves paths of a tenant that goes; raises `Conflict`."""
        tenant = next((s for s in self._claims().tenants if s.key == key), None)
        spec = tenant.document.spec if tenant and tenant.document else None
        if not isinstance(spec, TenantSpec):
            return
        guests = {way.tenant for host in spec.hosts for way in host.delegations}
        using = sorted(guest for guest in guests if self._serves_there(guest, spec))
        if using:
            said = f"lends paths to {', '.join(using)}, which serve them; take them back first"
            raise Conflict(str(key), [Problem("spec.hosts", said)])

    def _serves_there(self, guest: str, lender: TenantSpec) -> bool:
        found = self._store.get(ObjectKey("Tenant", "", guest))
        models = self.many("Model", namespace_of(found)) if found else []
        staying = [model for model in models if "deletionTimestamp" not in model["metadata"]]
        return any(
            names.covers(claim.name, route.get("host", "")) for claim in lender.hosts for _, route in routes_in(staying)
        )

    def _dependents(self, key: ObjectKey) -> list[ObjectKey]:
        if key.kind == "InferenceGateway":
            world = self._claims()
            tenants = [s for s in world.tenants if s.document and isinstance(s.document.spec, TenantSpec)]
            return [s.key for s in tenants if key.name in world.bindings[s.key.name].gateways]
        if key.kind == "Tenant":
            return [s.key for s in self._claims().models if self.tenant_of(s.key.namespace) == key.name]
        return []
