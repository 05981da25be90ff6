"""The history of documents: a revision for every accepted change, by any writer and any way."""

import asyncio
import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import Iterator
from functools import partial

from istio_templates import names
from istio_templates.errors import NotFound, TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.history import revision
from k8s_manager.history.deletion_records import DeletionRecords, outlines
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, Unavailable, WriteConflict
from k8s_manager.kube.event import EventOutbox, event
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.own_namespace import ensure_namespace
from k8s_manager.kube.resources import DOCUMENTS, RESOURCES
from k8s_manager.kube.store import Store
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import Cadence, control_loop
from k8s_manager.runtime.effects.lane import Effects, earliest
from k8s_manager.runtime.token_bucket import Rate, TokenBuckets
from k8s_manager.world.installation import SYSTEM

log = logging.getLogger(__name__)
LONGEST = 2.0
REQUEUE = Backoff(1.0, 10.0)
WAITING = 1000
TOGETHER = 20
"""Revisions too many that are deleted together."""
TOLD = Rate(0.1, 5)
"""Events per document."""
AT_ONCE = 4
"""Revisions written at once: they must never be in the way of limits."""
MANY = 20
"""Documents of one kind whose writers are read by a list rather than one by one."""
_REVISIONS = RESOURCES["ControllerRevision"]


class HistoryRecorder:
    """Reads revisions, and writes those that are missing.

    Every manager records what its own API wrote, by `client`; the leader records what others wrote, by `leader`. A
    revision is made once under the number of its generation, so that no late one replaces another.
    """

    def __init__(
        self,
        client: KubeClient,
        leader: FencedClient,
        store: Store,
        clock: Clock,
        quiet: float,
        trigger: asyncio.Event,
    ) -> None:
        self._leader = leader
        self._client, self._store, self._clock, self._quiet, self._trigger = client, store, clock, quiet, trigger
        self._places = asyncio.Semaphore(AT_ONCE)
        self._effects = Effects(clock, trigger)
        self._lane, self._outbox = self._effects.lane("revision", AT_ONCE), EventOutbox(client, self._effects)
        self._told: asyncio.Queue[tuple[Manifest, revision.ChangeAuthor | None]] = asyncio.Queue(WAITING)
        self._deletions = DeletionRecords(client, leader, store, clock)
        self._known: dict[str, set[int]] = {}
        self._there: dict[str, int] = {}
        self._unwritten: dict[tuple[str, int], Manifest] = {}
        self._events = TokenBuckets(clock, TOLD)
        self._has_read = False

    async def run(self, leads: bool) -> None:
        """Record what this manager's API writes, and as the leader everything, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._record_told())
                if leads:
                    group.create_task(self._follow())
        finally:
            await self._effects.close()

    def soon(self, document: Manifest) -> None:
        """Have a document recorded that was just written; where too many wait, only its last state will be."""
        self._wait((document, None))

    def deleted(self, document: Manifest, change: revision.ChangeAuthor | None) -> None:
        """Have a deletion recorded that the API has just asked for."""
        if document["kind"] in DOCUMENTS and change is not None:
            self._wait((document, change))

    def _wait(self, told: tuple[Manifest, revision.ChangeAuthor | None]) -> None:
        if self._told.full():
            self._told.get_nowait()
        self._told.put_nowait(told)

    async def _record_told(self) -> None:
        for number in itertools.count(1):
            document, deleted_by = await self._told.get()
            if number % WAITING == 0:
                self._forget_the_gone()
            if deleted_by is None:
                await self._record_all([document], self._client)
            else:
                await self._record_deletion(document, deleted_by)
            self._trigger.set()  # on the leader, what has failed is due in its control loop

    async def _follow(self) -> None:
        await self._store.synced.wait()
        self._has_read = False
        self._trigger.set()
        cadence = Cadence(self._quiet, LONGEST)
        await control_loop("history", self._once, self._effects, cadence, self._clock, REQUEUE)

    async def _once(self) -> float | None:
        """Record what is not recorded yet; return when something is due without a change."""
        if not self._has_read:
            await self._read()
            self._has_read = True
        self._forget_the_gone()
        self._deletions.see(obj for kind in DOCUMENTS for obj in self._store.all(kind))
        for obj in self._accepted():
            if not self._is_recorded(obj):
                self._unwritten.setdefault(_version_of(obj), obj)
        await self._record_all(await self._with_listed_writers([*self._unwritten.values()]), self._leader)
        return earliest([await self._deletions.record_missing(), await self._deletions.clean_up()])

    async def _record_deletion(self, document: Manifest, change: revision.ChangeAuthor) -> None:
        """Record who deleted a document; where that fails, the leader records that it is gone."""
        try:
            await ensure_namespace(self._client, self._store, _place(names.key_of(document)))
            await self._deletions.record(document, change)
        except TidegateError as error:
            log.warning("who deleted %s is not in its history: %s", names.key_of(document), error)

    async def _record_all(self, documents: list[Manifest], client: KubeClient) -> None:
        """Record documents, and have events written of what was recorded."""
        effects = {_version_of(obj): partial(self._record, obj, client) for obj in documents}
        namespaces = {_version_of(obj): _place(names.key_of(obj)) for obj in documents}
        await self._lane.run(effects, group=lambda version: namespaces.get(version, ""))
        await self._outbox.write()

    async def _record(self, document: Manifest, client: KubeClient) -> None:
        try:
            await ensure_namespace(client, self._store, _place(names.key_of(document)))
            await self.record(document, client)
            self._deletions.see([document])
        except Absent:  # the document, or its namespace, is gone
            self._note(document)
        self._unwritten.pop(_version_of(document), None)

    async def record(self, document: Manifest, client: KubeClient) -> None:
        """Write the revision of a document as it is, unless it is there; raises `TidegateError`."""
        key, namespace = names.key_of(document), _place(names.key_of(document))
        if self._is_recorded(document):
            return
        document = await self._with_writers(document)
        self._unwritten[_version_of(document)] = document
        change = revision.change_of(document)
        try:
            await client.create(revision.revision(document, change, namespace))
            is_ours = True
        except WriteConflict:  # another manager has just written it, or an earlier attempt whose answer was lost
            await self._require(key, revision.name_of(document))
            is_ours = _version_of(document) in self._lane.failed
        self._note(document)
        if is_ours:
            self._tell(key, document, document["metadata"]["generation"], change)
        await self._drop_surplus(key, document, client)

    async def _require(self, key: ObjectKey, name: str) -> None:
        """Raise `Unavailable` where a revision is not there that was in conflict with a new one. The manager may list
        revisions, and not read one."""
        if all(obj["metadata"]["name"] != name for obj in await self._named(key)):
            raise Unavailable(f"the revision {name} was in conflict with one that is not there; it is tried again")

    async def last_change(self, document: Manifest) -> revision.ChangeAuthor:
        """Return who made a document what it is, and why; raises `TidegateError`."""
        return revision.change_of(await self._with_writers(document))

    def _is_recorded(self, document: Manifest) -> bool:
        metadata = document["metadata"]
        return metadata["generation"] in self._known.get(metadata["uid"], ())

    def _note(self, document: Manifest) -> None:
        metadata = document["metadata"]
        known = self._known.setdefault(metadata["uid"], set())
        self._there[metadata["uid"]] = self._there.get(metadata["uid"], len(known)) + 1
        known.add(metadata["generation"])
        if len(known) > 4 * revision.KEPT:
            known -= set(sorted(known)[: -2 * revision.KEPT])

    def _forget_the_gone(self) -> None:
        here = {obj["metadata"]["uid"] for kind in DOCUMENTS for obj in self._store.all(kind)}
        self._known = {uid: generations for uid, generations in self._known.items() if uid in here}
        self._unwritten = {version: obj for version, obj in self._unwritten.items() if version[0] in here}
        self._there = {uid: count for uid, count in self._there.items() if uid in here}

    async def _drop_surplus(self, key: ObjectKey, document: Manifest, client: KubeClient) -> None:
        """Delete what is not kept any more, a few at a time: what another manager wrote is known from a list only."""
        uid = document["metadata"]["uid"]
        if self._there[uid] < revision.KEPT + TOGETHER:
            return
        self._there[uid] = revision.KEPT
        for old in revision.surplus(await self._all(key, uid)):
            with contextlib.suppress(Absent):  # another manager was faster
                await client.delete(ObjectKey("ControllerRevision", _place(key), old["metadata"]["name"]))

    def _tell(self, key: ObjectKey, document: Manifest, number: int, change: revision.ChangeAuthor) -> None:
        """Have an event written, but not again and again where a document changes all the time."""
        if not self._events.take(str(key)):
            said = f"revision {number} by {change.by}" + (f": {change.reason}" if change.reason else "")
            uid = document["metadata"]["uid"]
            self._outbox.add(event(key, uid, "Normal", "Changed", said, self._clock.utc()))

    async def of(self, key: ObjectKey, live: Manifest | None, deleted: bool = False) -> list[Manifest]:
        """Return the revisions of a document that are kept, the newest first; with `deleted`, or where the document is
        not there, those of the one of its name that was deleted last. Raises `NotFound` where there is neither."""
        found = await self._named(key)
        uid = live["metadata"]["uid"] if live else ""
        if live and not deleted:
            return revision.ordered(found, uid)[: revision.KEPT]
        if gone := revision.last_deleted(found, uid):
            return gone[: revision.KEPT + 1]
        raise NotFound(f"there is no {'history of a deleted ' if deleted else ''}{key}")

    async def _all(self, key: ObjectKey, uid: str) -> list[Manifest]:
        return revision.ordered(await self._named(key), uid)

    async def _named(self, key: ObjectKey) -> list[Manifest]:
        found, _ = await self._client.list(_REVISIONS, revision.selector(key), _place(key))
        return found

    async def one(self, key: ObjectKey, live: Manifest | None, number: int, deleted: bool = False) -> Manifest:
        """Return one revision of those that `of` returns; raises `NotFound`."""
        found = await self.of(key, live, deleted)
        for obj in found:
            if int(obj["revision"]) == number:
                return obj
        there = ", ".join(str(obj["revision"]) for obj in found) or "none yet"
        raise NotFound(f"{key} has no revision {number}; revisions are: {there}")

    async def previous(self, key: ObjectKey, live: Manifest | None, deleted: bool = False) -> Manifest:
        """Return the newest revision that differs from a document as it is now, of a deleted one the last; raises
        `NotFound`."""
        for obj in await self.of(key, live, deleted):
            if live is None or deleted or _differs(obj, live):
                return obj
        raise NotFound(f"{key} has no revision before this one; see its history")

    async def _read(self) -> None:
        """Learn which revisions there are; those of an earlier Tidegate would go with their document."""
        found = await outlines(self._client)
        await asyncio.gather(*(self._adopt(obj) for obj in found if revision.has_owner(obj)))
        for obj in found:
            if not revision.is_deletion(obj):
                self._known.setdefault(revision.uid_of(obj), set()).add(int(obj["revision"]))
        self._deletions.learn(found)

    async def _adopt(self, found: Manifest) -> None:
        metadata = found["metadata"]
        key = ObjectKey("ControllerRevision", metadata["namespace"], metadata["name"])
        async with self._places:
            with contextlib.suppress(Absent):
                await self._leader.merge(key, revision.without_owner(found))

    def _accepted(self) -> Iterator[Manifest]:
        for kind in DOCUMENTS:
            for obj in self._store.all(kind):
                if "deletionTimestamp" not in obj["metadata"] and _is_accepted(obj):
                    yield obj

    async def _with_listed_writers(self, documents: list[Manifest]) -> list[Manifest]:
        """Return documents with what Kubernetes records of their writers, from one list for a kind with many
        documents."""
        many = [kind for kind, count in Counter(obj["kind"] for obj in documents).items() if count >= MANY]
        found: dict[tuple[str, int], Manifest] = {}
        for kind in many:
            live, _ = await self._client.list(RESOURCES[kind])
            found |= {_version_of(obj): obj for obj in live}
        return [found.get(_version_of(document), document) for document in documents]

    async def _with_writers(self, document: Manifest) -> Manifest:
        """Return a document with what Kubernetes records of its writers, if it still is the same one."""
        if "managedFields" in document["metadata"]:
            return document
        live = await self._client.get(names.key_of(document))
        same = all(live["metadata"][name] == document["metadata"][name] for name in ("uid", "generation"))
        return live if same else document


def _differs(obj: Manifest, live: Manifest) -> bool:
    """Tell whether a revision is an older state than that of a document now, and another one."""
    is_older = int(obj["revision"]) < live["metadata"]["generation"]
    return is_older and bool(obj["data"]["spec"] != live.get("spec"))


def _version_of(obj: Manifest) -> tuple[str, int]:
    return obj["metadata"]["uid"], obj["metadata"].get("generation", 0)


def _is_accepted(obj: Manifest) -> bool:
    """Tell whether a document as it is was accepted."""
    generation = obj["metadata"].get("generation")
    conditions = (obj.get("status") or {}).get("conditions") or []
    return any(
        c["type"] == "Accepted" and c["status"] == "True" and c.get("observedGeneration") == generation
        for c in conditions
    )


def _place(key: ObjectKey) -> str:
    return key.namespace or SYSTEM
