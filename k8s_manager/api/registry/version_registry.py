"""Registers versions, and adds to them what is found out later. Each is a write of one ModelVersion.

A change is made again on what is there where another client was faster, unless the caller says of which version of the
document it is (If-Match): pipelines evaluate one version side by side.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from istio_templates.documents import ModelVersionSpec, parse
from istio_templates.documents.versions.model_version import VersionContent, VersionEvaluation, document_name
from istio_templates.errors import Conflict, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.concurrency.spec_change import SpecChanges
from k8s_manager.api.problems import Unconditional
from k8s_manager.api.registry.bodies import ApprovalBody, BlockBody, PinBody, VersionRegistration
from k8s_manager.api.registry.pin_rules import approval_problem
from k8s_manager.api.registry.registration import differences, evaluated_again, is_same_result
from k8s_manager.api.services.document_bodies import shown
from k8s_manager.api.services.document_catalog import DocumentCatalog
from k8s_manager.api.services.document_writer import DocumentWriter
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import WriteConflict

Change = Callable[[ModelVersionSpec], dict[str, Any]]
"""Returns the fields of a spec that change, None for those that go; raises `Conflict`."""


class VersionRegistry:
    """Writes ModelVersions in the short ways."""

    def __init__(self, client: KubeClient, catalog: DocumentCatalog, writer: DocumentWriter) -> None:
        self._client, self._catalog, self._writer = client, catalog, writer
        self._changes = SpecChanges(catalog, writer)

    async def register(
        self, namespace: str, body: VersionRegistration, by: str, write: WriteRequest
    ) -> tuple[ObjectKey, Manifest, bool]:
        """Register a version; return its key, its document, and whether it is new. A repeat changes nothing; raises
        `Conflict` saying what differs where another content is registered."""
        key = ObjectKey("ModelVersion", namespace, document_name(body.model, body.version))
        said = body.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"version"})
        live = self._catalog.here(key)
        if live is None:
            try:
                answer, _ = await self._writer.put(
                    key, {"spec": {**said, "registeredBy": by}}, replace(write, match=None)
                )
                return key, answer, True
            except (Unconditional, WriteConflict):  # another client was faster
                live = await self._client.get(key)
        _require_same(key, body, live)
        return key, shown(live), False

    async def evaluate(self, key: ObjectKey, found: VersionEvaluation, write: WriteRequest) -> Manifest:
        """Add an evaluation. One that is there changes nothing; raises `Conflict` where another result is there."""

        def add(spec: ModelVersionSpec) -> dict[str, Any]:
            known = evaluated_again(found, spec.evaluations)
            if known and not is_same_result(found, known):
                said = f"{found.metric} on {found.dataset} at {found.at} is {known.value:g} already; say when it was"
                raise Conflict(str(key), [Problem("at", f"{said} found again")])
            return (
                {} if known else {"evaluations": [one.model_dump(by_alias=True) for one in (*spec.evaluations, found)]}
            )

        return await self._change(key, add, write)

    async def block(self, key: ObjectKey, body: BlockBody | None, write: WriteRequest) -> Manifest:
        """Keep a version from being chosen for a reason; None lets it be chosen."""
        blocked = body.model_dump(by_alias=True) if body else None
        return await self._change(key, lambda _: {"blocked": blocked}, write)

    async def pin(self, key: ObjectKey, body: PinBody | None, by: str, now: datetime, write: WriteRequest) -> Manifest:
        """Choose a version, by a person; None ends that. Raises `Conflict` for a version that is blocked."""

        def set_pin(spec: ModelVersionSpec) -> dict[str, Any]:
            if body is None:
                return {"pinned": None}
            if spec.blocked:
                raise Conflict(str(key), [Problem("", f"is blocked: {spec.blocked.reason}; unblock it, then pin it")])
            said = body.model_dump(by_alias=True, exclude_none=True)
            return {"pinned": {"by": by, "at": now.isoformat(timespec="seconds"), **said}}

        return await self._change(key, set_pin, write)

    async def approve(self, key: ObjectKey, body: ApprovalBody, by: str, write: WriteRequest) -> Manifest:
        """Approve the pin of a version, as another person than who has made it. A repeat changes nothing; raises
        `Conflict` where that is not possible."""

        def add(spec: ModelVersionSpec) -> dict[str, Any]:
            pin = spec.pinned
            if why := approval_problem(pin, by, body.of):
                raise Conflict(str(key), [Problem("", why)])
            assert pin is not None
            said = pin.model_dump(by_alias=True, exclude_none=True)
            return {} if by in pin.approvals else {"pinned": {**said, "approvals": [*pin.approvals, by]}}

        return await self._change(key, add, replace(write, approves=True))

    async def _change(self, key: ObjectKey, change: Change, write: WriteRequest) -> Manifest:
        return await self._changes.change(key, lambda live: change(_spec_of(live)), write)


def _spec_of(document: Manifest) -> ModelVersionSpec:
    """Return the spec of a stored document; raises `Invalid` where it was written past the manager and is wrong."""
    spec = parse(shown(document)).spec
    assert isinstance(spec, ModelVersionSpec)
    return spec


def _require_same(key: ObjectKey, given: VersionContent, live: Manifest) -> None:
    """Make sure that what is registered is what is given; raises `Conflict`."""
    if "deletionTimestamp" in live["metadata"]:
        raise Conflict(str(key), [Problem("", "is being deleted; wait until it is gone, then register it again")])
    if found := differences(given, _spec_of(live)):
        raise Conflict(str(key), found)
