"""The short ways to change a model: the replicas of a version, the traffic, who measures it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from istio_templates.documents import ModelSpec, parse
from istio_templates.documents.versions.chosen_version import holding
from istio_templates.errors import Conflict, NotFound, Problem
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import RELEASE, deployment
from k8s_manager.api.concurrency.preconditions import WHATEVER, require
from k8s_manager.api.schemas.bodies import MOST_REASON
from k8s_manager.api.services.document_bodies import completed, shown
from k8s_manager.api.services.document_catalog import DocumentCatalog
from k8s_manager.api.services.document_writer import DocumentWriter
from k8s_manager.api.services.model_reader import ModelReader
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.own_namespace import ensure_namespace
from k8s_manager.kube.store import Store
from k8s_manager.preview.shift_check import objections
from k8s_manager.release.decision.observation import ReleaseVerb
from k8s_manager.release.release_loop import ReleaseLoop
from k8s_manager.release.release_request import action_in, request_text
from k8s_manager.release.release_status import release_sentences
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.warmup_gate.measurement_lease import reserve
from k8s_manager.world.installation import SYSTEM


class ModelActions:
    """Changes models, each by a patch of its document."""

    def __init__(
        self,
        client: KubeClient,
        store: Store,
        catalog: DocumentCatalog,
        models: ModelReader,
        writer: DocumentWriter,
        reader: WorldReader,
        releases: ReleaseLoop,
    ) -> None:
        self._releases = releases
        self._client, self._store, self._catalog = client, store, catalog
        self._models, self._writer, self._reader = models, writer, reader

    async def scale(self, key: ObjectKey, version: str, replicas: int, write: WriteRequest) -> Manifest:
        """Set the replicas of a version whose pods the manager renders."""
        versions = self._versions(key, version)
        found = versions[version]
        if "autoscale" in found:
            said = f"autoscale decides on the replicas of version {version}; change its min and max, or end it"
            raise Conflict(str(key), [Problem("replicas", said)])
        scaled = {**found, "workload": {**found["workload"], "replicas": replicas}}
        return await self._write_versions(key, {**versions, version: scaled}, write)

    async def autoscale(
        self, key: ObjectKey, version: str, autoscale: Manifest | None, write: WriteRequest
    ) -> Manifest:
        """Have signals decide on the replicas of a version; None ends that, and the replicas that it has stay."""
        versions = self._versions(key, version)
        found, workload = dict(versions[version]), {**versions[version]["workload"]}
        before = found.pop("autoscale", None)
        if autoscale is not None:
            workload.pop("replicas", None)
            found["autoscale"] = autoscale
        elif before is not None:
            workload["replicas"] = self._replicas(key, version)
        elif not write.dry_run:
            return self._catalog.one(key)
        return await self._write_versions(key, {**versions, version: {**found, "workload": workload}}, write)

    def _versions(self, key: ObjectKey, version: str) -> dict[str, Manifest]:
        """Return the versions of a model by name, of which one is to be scaled."""
        versions = {v["name"]: v for v in self._catalog.live(key)["spec"]["versions"]}
        if version not in versions:
            raise NotFound(f"{key} has no version {version!r}; versions are {', '.join(versions)}")
        if "workload" not in versions[version]:
            said = f"version {version} is not run by Tidegate; scale it where it is run"
            raise Conflict(str(key), [Problem("replicas", said)])
        return versions

    def _replicas(self, key: ObjectKey, version: str) -> int:
        """Return how many replicas a version's Deployment asks for."""
        live = self._store.get(ObjectKey("Deployment", key.namespace, deployment(key.name, version)))
        found: int = ((live or {}).get("spec") or {}).get("replicas", 1)
        return found

    async def _write_versions(self, key: ObjectKey, versions: dict[str, Manifest], write: WriteRequest) -> Manifest:
        return await self._writer.patch(key, {"spec": {"versions": list(versions.values())}}, write)

    async def traffic(self, key: ObjectKey, shares: Any, force: bool, write: WriteRequest) -> Manifest:
        """Move the traffic of a model to other shares; raises `Conflict` where its warm replicas cannot carry that,
        unless `force` lets the limit fall. With a rollout a release does it, and waits for warm replicas."""
        live = self._catalog.live(key)
        body = {"spec": {**live["spec"], "traffic": shares}}
        after = parse(completed(key, body)).spec
        before = self._models.spec(key)
        assert isinstance(after, ModelSpec)
        if (chosen := holding(after, live.get("status") or {})) is not None:
            said = f"the selection has chosen {chosen.version} instead of {chosen.instead}, and goes on to hold"
            remedy = "pin or block versions, abort the release, or take versionTemplate out of spec.selection"
            raise Conflict(str(key), [Problem("spec.traffic", f"{said}; {remedy}")])
        found = objections(before, after, self._reader.pods.ready(key.namespace, key.name, after))
        if found and not force and after.rollout is None:
            raise Conflict(str(key), found)
        return await self._writer.patch(key, {"spec": {"traffic": shares}}, write)

    async def pause(self, key: ObjectKey, reason: Any, write: WriteRequest) -> Manifest:
        """Have a model's routes answer 503 for a reason; None opens them. The history says so."""
        said = f"paused: {reason}" if reason else "resumed"
        if write.change and not write.change.reason:
            write = replace(write, change=replace(write.change, reason=said[:MOST_REASON]))
        return await self._writer.patch(key, {"spec": {"paused": reason}}, write)

    async def release(self, key: ObjectKey, action: ReleaseVerb, write: WriteRequest) -> Manifest:
        """Ask something of the release of a model; the leader answers in its status. With a dry run return the release
        as it would be. Raises `Conflict` for a model without a rollout."""
        live = self._catalog.live(key)
        if (live.get("spec") or {}).get("rollout") is None:
            said = "has no rollout, so its traffic is moved at once; give it spec.rollout"
            raise Conflict(str(key), [Problem("spec.rollout", said)])
        require(live, write.match or WHATEVER, key)
        by, reason = (write.change.by, write.change.reason) if write.change else ("", "")
        text = request_text(action, datetime.now(UTC).isoformat(timespec="milliseconds"), by, reason)
        if write.dry_run:
            asked = action_in(text)
            assert asked is not None
            found = self._releases.preview(ModelPlace(key.namespace, key.name), asked)
            subject = f"{key.namespace}/{key.name}"
            return {"dryRun": True, "model": subject, "release": found, "reasons": release_sentences(subject, found)}
        return shown(await self._writer.annotate(live, RELEASE, text))

    async def reserve(self, key: ObjectKey, holder: str, seconds: int) -> datetime:
        """Keep other measurements off a model; raises `NotFound`, or `Conflict` while another has it."""
        self._catalog.live(key)
        await ensure_namespace(self._client, self._store, SYSTEM)
        return await reserve(self._client, key, holder, seconds, datetime.now(UTC))
