"""Objects of the API server, as the watches delivered them.

The store counts changes per kind and namespace, so that a reader of a namespace can tell
without comparing whether it still holds.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from math import inf

from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import GATEWAY, TENANT, is_marked, key_of
from istio_templates.virtual_service import delegates_of, splits_of
from k8s_manager.kube.resources import DOCUMENTS, GATEWAY_API, OWNED
from k8s_manager.kube.shapes import fit
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.metrics import ODD_VALUES
from k8s_manager.world.certificate import KEYS as CERTIFICATES
from k8s_manager.world.installation import CALLER_KEYS, PUBLIC_KEYS

log = logging.getLogger(__name__)
OWNERS = {TENANT, GATEWAY}
# Autoscalers update their status every few seconds; it decides nothing here.
_RESTLESS = ("HorizontalPodAutoscaler", "ScaledObject", "Service", *GATEWAY_API)
_CARRIED_ON = ("namespace", "gateway", "authentication", "moving", "draining", "rollout", "selected")
"""What a manager that starts goes on from."""
MOST_GONE = 10_000
"""Deleted objects that are remembered, the last ones."""
_NAMED = ("name", "namespace", "uid", "resourceVersion")
_BOOKKEEPING = ("managedFields", "selfLink")


class Store:
    """Objects by kind, namespace and name. Reading never waits; objects are never changed in place.

    `owned` are the live objects that carry the manager's label, `owned_changes` counts their changes. `absent` are
    kinds that a cluster need not have, and that this one has not.
    """

    def __init__(self, kinds: tuple[str, ...], clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[str, dict[str, dict[str, Manifest]]] = {kind: defaultdict(dict) for kind in kinds}
        self._changes: dict[tuple[str, str], int] = defaultdict(int)
        self._odd: dict[ObjectKey, set[str]] = {}
        self._gone: dict[str, int] = {}
        self._unsynced = set(kinds)
        self.last_seen: dict[str, float] = {}
        self.changed_at: dict[str, float] = {}
        self.synced = asyncio.Event()
        self.owned: dict[ObjectKey, Manifest] = {}
        self.owned_changes = 0
        self.absent: set[str] = set()
        self._listeners: list[tuple[frozenset[str], asyncio.Event]] = []

    def signal(self, kinds: frozenset[str]) -> asyncio.Event:
        """Return an event that is set whenever an object of one of `kinds` changes."""
        event = asyncio.Event()
        self._listeners.append((kinds, event))
        return event

    def get(self, key: ObjectKey) -> Manifest | None:
        """Return an object, or None."""
        return self._objects[key.kind].get(key.namespace, {}).get(key.name)

    def all(self, kind: str) -> Iterator[Manifest]:
        """Yield the objects of a kind."""
        for inside in self._objects[kind].values():
            yield from inside.values()

    def inside(self, kind: str, namespace: str) -> list[Manifest]:
        """Return the objects of a kind in one namespace."""
        return list(self._objects[kind].get(namespace, {}).values())

    def changes(self, kind: str, namespace: str = "") -> int:
        """Return a number that differs whenever something of that kind has changed in that namespace."""
        return self._changes[kind, namespace]

    def put(self, obj: Manifest, as_of: float | None = None) -> None:
        """Take in an object as it was watched or answered, or listed `as_of` a version; a version older than the stored
        one, or than its deletion, is dropped, unless a list from after that has it."""
        key = key_of(obj)
        before = self.get(key)
        if as_of is None and version_of(obj) <= self._gone.get(obj["metadata"].get("uid"), -1):
            return
        is_contradicted = before is not None and as_of is not None and version_of(before) <= as_of
        if before is not None and not is_contradicted and version_of(before) >= version_of(obj):
            return
        obj = self._fitting(key, obj)
        for name in _BOOKKEEPING:
            obj["metadata"].pop(name, None)
        if key.kind == "Secret":
            _keep_public(obj)
        if before == obj:
            return
        self._objects[key.kind][key.namespace][key.name] = obj
        if before is not None and self._is_quiet(key, before, obj):
            if key in self.owned:
                self.owned[key] = obj
            return
        self._changed(key, wakes=before is None or not _only_tells(key, before, obj))

    def _fitting(self, key: ObjectKey, obj: Manifest) -> Manifest:
        """Return an object as the manager reads it; what is odd in it is left out, and logged once."""
        obj, odd = fit(obj)
        if odd or key in self._odd:
            for place in sorted({*odd} - self._odd.get(key, set())):
                ODD_VALUES.labels(key.kind).inc()
                log.warning("%s: %s has another shape than Kubernetes or Istio give it; it is left out", key, place)
            self._odd[key] = {*odd}
        return obj

    def _is_quiet(self, key: ObjectKey, before: Manifest, obj: Manifest) -> bool:
        """Tell whether a change decides nothing here.

        Such are the status of an autoscaler or a Service, and all that others write into their VirtualServices but how
        those are reached and how they split requests. An HTTPRoute has no such change: its status says who accepted it.
        """
        if key.kind == "HTTPRoute" and before.get("status") != obj.get("status"):
            return False
        if key.kind in _RESTLESS:
            return _wanted(before) == _wanted(obj)
        if key.kind == "VirtualService" and not (_is_ours(before) or _is_ours(obj)):
            return _reached(before) == _reached(obj)
        return False

    def drop(self, obj: Manifest) -> None:
        """Forget an object that was deleted, unless it has been made again since; an answer from before may be late."""
        key = key_of(obj)
        before = self.get(key)
        if uid := obj["metadata"].get("uid"):
            self._gone[uid] = version_of(obj)
        if len(self._gone) > MOST_GONE:
            del self._gone[next(iter(self._gone))]
        if before is not None and before["metadata"]["uid"] == obj["metadata"]["uid"]:
            del self._objects[key.kind][key.namespace][key.name]
            self._odd.pop(key, None)
            self._changed(key)

    def leave(self, obj: Manifest) -> None:
        """Note that an object is being deleted, before the watch says so."""
        key = key_of(obj)
        if self.get(key) is obj:
            leaving = {**obj, "metadata": {**obj["metadata"], "deletionTimestamp": "now"}}
            self._objects[key.kind][key.namespace][key.name] = leaving
            self._changed(key)

    def replace(self, kind: str, objects: list[Manifest], as_of: float = inf) -> None:
        """Take a complete list of a version for the truth; only what was written after that version stays as it is.

        What is missing in it was deleted while no watch ran, and what it holds in an older version was restored.
        """
        for obj in self.unlisted(kind, objects, as_of):
            self.drop(obj)
        for obj in objects:
            self.put(obj, as_of)
        if kind in self.absent:
            self.absent.remove(kind)
            self._changes[kind, ""] += 1
        self._unsynced.discard(kind)
        if not self._unsynced:
            self.synced.set()
            self._wake(kind)

    def unlisted(self, kind: str, objects: list[Manifest], as_of: float = inf) -> list[Manifest]:
        """Return the objects that a complete list of a version lacks, and that were there before it."""
        listed = {key_of(obj) for obj in objects}
        return [obj for obj in self.all(kind) if key_of(obj) not in listed and version_of(obj) <= as_of]

    def lack(self, kind: str) -> None:
        """Note that a kind is not there, and so has no objects; what is known of it already is kept."""
        if kind in self._unsynced:
            self.replace(kind, [])

    def note_absent(self, kind: str) -> None:
        """Note that the cluster does not have a kind that it need not have; nothing that is known of it is left."""
        if kind not in self.absent:
            self.replace(kind, [])
            self.absent.add(kind)
            self._changes[kind, ""] += 1

    def _changed(self, key: ObjectKey, wakes: bool = True) -> None:
        self._index(key)
        self._changes[key.kind, key.namespace] += 1
        self._changes[key.kind, ""] += key.namespace != ""
        self.changed_at[key.kind] = self._clock.now()
        if wakes:
            self._wake(key.kind)

    def _index(self, key: ObjectKey) -> None:
        obj = self.get(key)
        if obj is not None and key.kind in OWNED and _is_ours(obj):
            self.owned[key] = obj
        elif self.owned.pop(key, None) is None:
            return
        self.owned_changes += 1

    def _wake(self, kind: str) -> None:
        if self.synced.is_set():
            for kinds, event in self._listeners:
                if kind in kinds:
                    event.set()


def _keep_public(secret: Manifest) -> None:
    """Leave of a Secret only its name, certificates and public keys of callers: the manager must not know anything else
    in it."""
    secret["metadata"] = {name: secret["metadata"][name] for name in _NAMED if name in secret["metadata"]}
    kept = (PUBLIC_KEYS,) if key_of(secret) == CALLER_KEYS else CERTIFICATES
    secret["data"] = {key: text for key, text in (secret.get("data") or {}).items() if key in kept}


def _is_ours(obj: Manifest) -> bool:
    """Tell whether the manager has made an object. One that another object controls is that one's: KEDA gives its HPA
    the labels of the ScaledObject."""
    is_controlled = any(owner.get("controller") for owner in obj["metadata"].get("ownerReferences") or [])
    return is_marked(obj) and not is_controlled and not obj["metadata"]["labels"].keys().isdisjoint(OWNERS)


def _reached(obj: Manifest) -> tuple[object, ...]:
    """Return where a VirtualService is exported to, through which Gateways it is reached, and its destinations."""
    spec = obj.get("spec") or {}
    reached = spec.get("exportTo"), spec.get("gateways"), spec.get("hosts")
    return *reached, delegates_of(obj), splits_of(obj), "deletionTimestamp" in obj["metadata"]


def _only_tells(key: ObjectKey, before: Manifest, obj: Manifest) -> bool:
    """Tell whether only the part of a document's status differs that is for people: no reconcile pass has to act on
    that."""
    return key.kind in DOCUMENTS and _wanted(before) == _wanted(obj) and _acted_on(before) == _acted_on(obj)


def _acted_on(document: Manifest) -> tuple[object, ...]:
    """Return what decides something in the status of a document (`k8s_manager.world.Stored`)."""
    status = document.get("status") or {}
    accepted = [c for c in status.get("conditions") or [] if c.get("type") == "Accepted"]
    return (
        [status.get(name) for name in _CARRIED_ON],
        [(condition.get("status"), condition.get("observedGeneration")) for condition in accepted],
    )


def _wanted(obj: Manifest) -> tuple[object, ...]:
    """Return what people say of an object, its status left out."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "resourceVersion"}
    return metadata, obj.get("spec")


def version_of(obj: Manifest) -> int:
    """Return an object's resourceVersion as a number."""
    return number_of(obj["metadata"].get("resourceVersion", "0"))


def number_of(version: str) -> int:
    """Return a resourceVersion as a number. Kubernetes calls it opaque to clients, yet since 1.34 it promises
    that versions of one kind can be compared, and has always kept that."""
    return int(version) if version.isdigit() else 0
