"""What each verb does to an object: versions, generations, finalizers, namespaces, owners."""

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from k8s_manager.standalone.apiserver import apply as owners
from k8s_manager.standalone.apiserver.errors import ApiError, not_found
from k8s_manager.standalone.apiserver.paths import merge
from k8s_manager.standalone.apiserver.registry import Kind, built_in, custom
from k8s_manager.standalone.apiserver.store import ObjectStore, clone

Object = dict[str, Any]
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_FIXED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")
NAMESPACES = "/namespaces"
CRDS = "apiextensions.k8s.io/customresourcedefinitions"


def utc_now() -> datetime:
    """Return the machine's clock."""
    return datetime.now(UTC)


def random_uid() -> str:
    """Return what no other object is called."""
    return str(uuid.uuid4())


def resource_of(kind: Kind) -> str:
    """Return the key of a kind in the store: all served versions share their objects."""
    return f"{kind.group_version.rpartition('/')[0]}/{kind.plural}"


class Registrar:
    """The verbs. Each returns the object as it is stored then; refusals are `ApiError`.

    `utc` and `make_uid` are passed in so that the same calls make the same objects again.
    """

    def __init__(
        self, store: ObjectStore, utc: Callable[[], datetime] = utc_now, make_uid: Callable[[], str] = random_uid
    ) -> None:
        self.store, self._utc, self._make_uid = store, utc, make_uid
        self.kinds = built_in()
        for crd in store.every(CRDS):
            self._serve(crd)
        for name in ("default", "kube-system", "istio-system"):
            if store.get(NAMESPACES, "", name) is None:
                self.create(self.kinds["v1", "namespaces"], "", {"metadata": {"name": name}}, "embedded")

    def kind(self, group_version: str, plural: str) -> Kind:
        """Return a kind by its place in the API; raises 404."""
        found = self.kinds.get((group_version, plural))
        if found is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        return found

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Return an object; raises 404."""
        obj = self.store.get(resource_of(kind), namespace, name)
        if obj is None:
            raise not_found(kind.plural, name)
        return obj

    def create(self, kind: Kind, namespace: str, obj: Object, manager: str, dry: bool = False) -> Object:
        """Create an object; raises 409 where the name is taken."""
        new = self._new(kind, namespace, obj)
        name = new["metadata"]["name"]
        if self.store.get(resource_of(kind), new["metadata"].get("namespace", ""), name) is not None:
            raise ApiError(409, "AlreadyExists", f'{kind.plural} "{name}" already exists')
        if kind.has_status and kind.kind != "Pod":
            new.pop("status", None)
        new = owners.updated(None, new, manager, kind.shape, "", self._now())
        return self._commit(kind, None, new, dry)

    def replace(
        self, kind: Kind, namespace: str, name: str, obj: Object, manager: str, sub: str = "", dry: bool = False
    ) -> Object:
        """Replace an object (or its status); raises 409 where it has changed since it was read."""
        live = self.get(kind, namespace, name)
        _check_version(kind, live, obj)
        new = self._next(kind, live, clone(obj), sub)
        new = owners.updated(live, new, manager, kind.shape, sub, self._now())
        return self._commit(kind, live, new, dry)

    def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Object,
        manager: str,
        strategic: bool,
        sub: str = "",
        dry: bool = False,
    ) -> Object:
        """Merge a patch into an object (or its status)."""
        live = self.get(kind, namespace, name)
        _check_version(kind, live, patch)
        merged = clone(live)
        if strategic:
            merge(merged, clone(patch), kind.shape)
        else:
            merge_patch(merged, clone(patch))
        new = self._next(kind, live, merged, sub)
        new = owners.updated(live, new, manager, kind.shape, sub, self._now())
        return self._commit(kind, live, new, dry)

    def apply(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        obj: Object,
        manager: str,
        force: bool,
        sub: str = "",
        dry: bool = False,
    ) -> Object:
        """Apply an object server-side; raises 409 where others hold fields and `force` is not given."""
        given = obj.get("metadata", {})
        if given.get("name", name) != name or (kind.namespaced and given.get("namespace", namespace) != namespace):
            raise ApiError(400, "BadRequest", "the name of the object does not match the name on the URL")
        live = self.store.get(resource_of(kind), namespace, name)
        if live is None and (sub or given.get("uid") or given.get("resourceVersion")):
            raise (
                not_found(kind.plural, name)
                if sub
                else ApiError(409, "Conflict", f'{kind.plural} "{name}": the object is gone')
            )
        if live is not None:
            _check_version(kind, live, obj)
        if (unknown := kind.undeclared(obj)) is not None:
            of = f"({namespace}/{name}; {kind.group_version}, Kind={kind.kind})"
            said = f"failed to create typed patch object {of}: {unknown}: field not declared in schema"
            raise ApiError(500, "InternalError", said)
        wanted = clone(obj)
        wanted.get("metadata", {}).pop("resourceVersion", None)
        if sub or (kind.has_status and kind.kind != "Pod"):
            wanted = {
                k: v
                for k, v in wanted.items()
                if (k != "status") != bool(sub) or k in ("apiVersion", "kind", "metadata")
            }
        new = owners.applied(live, wanted, manager, force, kind.shape, sub, self._now())
        new = self._next(kind, live, new, sub) if live else self._new(kind, namespace, new)
        return self._commit(kind, live, new, dry)

    def delete(self, kind: Kind, namespace: str, name: str, options: Object) -> Object:
        """Delete an object, or mark it where finalizers, a running pod or a namespace's contents come first."""
        live = self.get(kind, namespace, name)
        conditions = options.get("preconditions") or {}
        version, current = conditions.get("resourceVersion"), live["metadata"]["resourceVersion"]
        if version and version != current:
            said = f"the ResourceVersion in the precondition ({version}) does not match {current}"
            raise ApiError(409, "Conflict", said)
        uid = conditions.get("uid")
        if uid and uid != live["metadata"]["uid"]:
            raise ApiError(
                409, "Conflict", f"the UID in the precondition ({uid}) does not match {live['metadata']['uid']}"
            )
        grace = options.get("gracePeriodSeconds")
        if grace is None and kind.kind == "Pod":
            grace = live.get("spec", {}).get("terminationGracePeriodSeconds", 30)
        waits = live["metadata"].get("finalizers") or kind.kind == "Namespace" or (kind.kind == "Pod" and grace)
        if not waits:
            self._remove(kind, live)
            return live
        if "deletionTimestamp" in live["metadata"]:
            return live
        marked = clone(live)
        marked["metadata"].update(deletionTimestamp=self._now(), deletionGracePeriodSeconds=grace or 0)
        if kind.kind == "Namespace":
            marked["status"] = {"phase": "Terminating"}
        marked["metadata"]["generation"] = marked["metadata"].get("generation", 1) + (
            kind.is_custom or kind.kind == "Deployment"
        )
        stored = self.store.commit(resource_of(kind), live, marked) or marked
        if kind.kind == "Namespace":
            self._empty(name)
        return stored

    def _now(self) -> str:
        """Return the time as Kubernetes writes it."""
        return self._utc().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _new(self, kind: Kind, namespace: str, obj: Object) -> Object:
        new = kind.pruned(clone(obj))
        new["apiVersion"], new["kind"] = kind.group_version, kind.kind
        metadata = new.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + self._make_uid()[-5:]
        name = metadata.get("name") or ""
        if not _NAME.fullmatch(name) or len(name) > 253:
            raise ApiError(422, "Invalid", f'{kind.kind} "{name}" is invalid: metadata.name: must be a DNS subdomain')
        if kind.namespaced:
            metadata["namespace"] = self._namespace(namespace, metadata)
        metadata.update(uid=self._make_uid(), creationTimestamp=self._now(), generation=1)
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"):
            metadata.pop(field, None)
        if kind.kind == "Namespace":
            metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = name
            new["status"] = {"phase": "Active"}
        return new

    def _namespace(self, namespace: str, metadata: Object) -> str:
        if metadata.get("namespace", namespace) != namespace:
            raise ApiError(400, "BadRequest", "the namespace of the object does not match the namespace on the URL")
        found = self.store.get(NAMESPACES, "", namespace)
        if found is None:
            raise not_found("namespaces", namespace)
        if "deletionTimestamp" in found["metadata"]:
            raise ApiError(403, "Forbidden", f"namespace {namespace} is being terminated")
        return namespace

    def _next(self, kind: Kind, live: Object, new: Object, sub: str) -> Object:
        """Return what a write makes of the live object: fixed fields stay, status and the rest keep apart."""
        if sub == "status":
            # Of a pod, its metadata can be written beside its status, as Kubernetes has it.
            beside = {"metadata": new.get("metadata", {})} if kind.kind == "Pod" else {}
            new = {**clone(live), **beside, "status": new.get("status", {})}
        elif kind.has_status and "status" in live:
            new["status"] = clone({"status": live["status"]})["status"]
        elif kind.has_status:
            new.pop("status", None)
        new = kind.pruned(new)
        new["apiVersion"], new["kind"] = live["apiVersion"], live["kind"]
        metadata = new.setdefault("metadata", {})
        for field in ("name", "namespace", *_FIXED):
            if field in live["metadata"]:
                metadata[field] = live["metadata"][field]
            else:
                metadata.pop(field, None)
        metadata["managedFields"] = new["metadata"].get("managedFields", live["metadata"].get("managedFields", []))
        if _content(new) != _content(live):
            metadata["generation"] = live["metadata"].get("generation", 1) + 1
        return new

    def _commit(self, kind: Kind, live: Object | None, new: Object, dry: bool) -> Object:
        kind.check(new)
        if live is not None:
            new["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
            if _timeless(new) == _timeless(live):
                return live
        if dry:
            return new
        released = "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers")
        if live is not None and released and kind.kind not in ("Pod", "Namespace"):
            self._remove(kind, live)
            return new
        stored = self.store.commit(resource_of(kind), live, new) or new
        if kind.kind == "CustomResourceDefinition":
            self._serve(stored)
        return stored

    def _remove(self, kind: Kind, live: Object) -> None:
        metadata = live["metadata"]
        self.store.commit(resource_of(kind), live, None)
        for resource, namespace, name in self.store.dependents(metadata["uid"]):
            self._delete_any(resource, namespace, name)
        if kind.namespaced:
            self._close_namespace(metadata["namespace"])

    def _empty(self, namespace: str) -> None:
        for resource, obj in self.store.inside(namespace):
            self._delete_any(resource, namespace, obj["metadata"]["name"])
        self._close_namespace(namespace)

    def _delete_any(self, resource: str, namespace: str, name: str) -> None:
        kind = next(kind for kind in self.kinds.values() if resource_of(kind) == resource)
        if self.store.get(resource, namespace, name) is not None:
            self.delete(kind, namespace, name, {})

    def _close_namespace(self, namespace: str) -> None:
        found = self.store.get(NAMESPACES, "", namespace)
        if found and "deletionTimestamp" in found["metadata"] and not any(True for _ in self.store.inside(namespace)):
            self.store.commit(NAMESPACES, found, None)

    def _serve(self, crd: Object) -> None:
        for kind in custom(crd):
            self.kinds[kind.group_version, kind.plural] = kind


def merge_patch(into: Object, patch: Object) -> None:
    """Apply a JSON merge patch (RFC 7396) in place."""
    for name, value in patch.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict):
            if not isinstance(into.get(name), dict):
                into[name] = {}
            merge_patch(into[name], value)
        else:
            into[name] = value


def _check_version(kind: Kind, live: Object, given: Object) -> None:
    metadata = given.get("metadata", {})
    version, uid = metadata.get("resourceVersion"), metadata.get("uid")
    stale = version and version != live["metadata"]["resourceVersion"]
    if stale or (uid and uid != live["metadata"]["uid"]):
        name = live["metadata"]["name"]
        message = f'Operation cannot be fulfilled on {kind.plural} "{name}": the object has been modified'
        raise ApiError(409, "Conflict", message)


def _content(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name not in ("metadata", "status", "apiVersion", "kind")}


def _timeless(obj: Object) -> Object:
    fields = [{**entry, "time": ""} for entry in obj["metadata"].get("managedFields", [])]
    return {**obj, "metadata": {**obj["metadata"], "managedFields": fields}}
