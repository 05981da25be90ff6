"""Documents as the store has them, and the namespaces of tenants."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from istio_templates import names
from istio_templates.errors import Conflict, NotFound, Problem, Waiting
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api import pages
from k8s_manager.api.services.document_bodies import namespace_of, shown
from k8s_manager.kube.store import Store
from k8s_manager.kube.watch import Watcher
from k8s_manager.pipeline.plan import Plan
from k8s_manager.world.world import World


class PlanView(Protocol):
    """What the REST API sees of the main loop: its last pass. Before the first one there is no world."""

    @property
    def world(self) -> World | None:
        """The world that the plan was made from."""

    @property
    def plan(self) -> Plan:
        """What should exist."""

    @property
    def passed(self) -> asyncio.Event:
        """Set once a pass has succeeded."""


class DocumentCatalog:
    """Reads documents; raises `Waiting` until everything has been read."""

    def __init__(self, store: Store, view: PlanView, watchers: Sequence[Watcher]) -> None:
        self._store, self._view, self._watchers = store, view, watchers

    def unready(self) -> str | None:
        """Return why the API cannot be trusted yet; None when it can."""
        if not self._store.synced.is_set():
            waiting = next((watcher.problem for watcher in self._watchers if watcher.problem), "reading the cluster")
            return f"not everything has been read yet: {waiting}"
        return None if self._view.passed.is_set() else "the first pass is under way"

    def require_sync(self) -> None:
        """Raise `Waiting` until everything has been read."""
        if (reason := self.unready()) is not None:
            raise Waiting(f"{reason}; try again soon", 1)

    def live(self, key: ObjectKey) -> Manifest:
        """Return a document as it is stored; raises `NotFound`."""
        self.require_sync()
        obj = self._store.get(key)
        if obj is None:
            raise NotFound(f"there is no {key}")
        return obj

    def many(self, kind: str, namespace: str = "") -> list[Manifest]:
        """Return all documents of a kind (in a namespace), by name and namespace."""
        self.require_sync()
        found = self._store.inside(kind, namespace) if namespace else list(self._store.all(kind))
        return sorted(found, key=pages.place)

    def one(self, key: ObjectKey) -> Manifest:
        """Return a document; raises `NotFound`."""
        return shown(self.live(key))

    def here(self, key: ObjectKey) -> Manifest | None:
        """Return a document as it is stored, or None."""
        self.require_sync()
        return self._store.get(key)

    def holds(self, key: ObjectKey) -> bool:
        """Tell whether a document is there."""
        return self.here(key) is not None

    def tenant_of(self, namespace: str) -> str | None:
        """Return the tenant that owns a namespace, by the namespace's own label."""
        found = self._store.get(ObjectKey("Namespace", "", namespace))
        return (found["metadata"].get("labels") or {}).get(names.TENANT) if found else None

    def pin_approvers(self, namespace: str) -> int:
        """Return how many approvals pins need in a tenant's namespace."""
        tenant = self._store.get(ObjectKey("Tenant", "", self.tenant_of(namespace) or ""))
        found = ((tenant or {}).get("spec") or {}).get("pinApprovers", 0)
        return found if isinstance(found, int) else 0

    def namespace(self, tenant: str) -> str:
        """Return the namespace of a tenant; raises `NotFound`, or `Conflict` where another tenant has it."""
        namespace = namespace_of(self.live(ObjectKey("Tenant", "", tenant)))
        if self._store.get(ObjectKey("Namespace", "", namespace)) and self.tenant_of(namespace) != tenant:
            said = f"{namespace} is not this tenant's; give it a namespace of its own, or create the tenant again"
            raise Conflict(f"Tenant {tenant}", [Problem("spec.namespace", said)])
        return namespace
