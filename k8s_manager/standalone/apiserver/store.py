"""The objects, their versions, what happened to them, and the one file that keeps them over a restart."""

import asyncio
import bisect
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from k8s_manager.standalone.apiserver.errors import ApiError

Object = dict[str, Any]
HISTORY = 20_000


def clone(obj: Object) -> Object:
    """Return a copy that shares nothing; by way of JSON, which is several times faster than copying in Python."""
    copied: Object = orjson.loads(orjson.dumps(obj))
    return copied


@dataclass(frozen=True, slots=True)
class CommittedWrite:
    """One committed write: a creation has no `before`, a deletion no `after`."""

    version: int
    resource: str
    before: Object | None
    after: Object | None


class ObjectStore:
    """Objects by resource (`group/plural`) and (namespace, name). Stored objects are never changed in place."""

    def __init__(self, file: Path | None) -> None:
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._history: deque[CommittedWrite] = deque(maxlen=HISTORY)
        self._watchers: dict[str, set[asyncio.Queue[CommittedWrite]]] = {}
        self._dependents: dict[str, set[tuple[str, str, str]]] = {}
        self._file = self._open(file)
        self.version = 1
        self.oldest = 1
        self._read()

    def _open(self, file: Path | None) -> sqlite3.Connection:
        connection = sqlite3.connect(file or ":memory:", isolation_level=None, check_same_thread=False)
        # A killed process loses nothing this way; only a power cut could.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS objects (resource TEXT, namespace TEXT, name TEXT, body BLOB, "
            "PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID"
        )
        connection.execute("CREATE TABLE IF NOT EXISTS version (one INTEGER PRIMARY KEY, value INTEGER)")
        return connection

    def _read(self) -> None:
        for resource, namespace, name, body in self._file.execute("SELECT * FROM objects"):
            obj = orjson.loads(body)
            self._objects.setdefault(resource, {})[namespace, name] = obj
            self._index(resource, None, obj)
        row = self._file.execute("SELECT value FROM version").fetchone()
        self.version = row[0] if row else 1
        # What happened before this start is not remembered: who wants to go on from there lists again.
        self.oldest = self.version

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self._objects.get(resource, {}).get((namespace, name))

    def every(self, resource: str, namespace: str = "") -> list[Object]:
        """Return the objects of a resource, in a namespace or everywhere, in the order of their names."""
        found = self._objects.get(resource, {})
        return [found[key] for key in sorted(found) if not namespace or key[0] == namespace]

    def inside(self, namespace: str) -> Iterator[tuple[str, Object]]:
        """Yield (resource, object) of everything in a namespace."""
        for resource, objects in list(self._objects.items()):
            for key, obj in list(objects.items()):
                if key[0] == namespace:
                    yield resource, obj

    def dependents(self, uid: str) -> list[tuple[str, str, str]]:
        """Return (resource, namespace, name) of what names `uid` as its owner."""
        return sorted(self._dependents.get(uid, ()))

    def commit(self, resource: str, before: Object | None, after: Object | None) -> Object | None:
        """Store a write under a new version, notify the watches, and return the stored object."""
        self.version += 1
        obj = after if after is not None else dict(before or {})
        obj["metadata"] = {**obj["metadata"], "resourceVersion": str(self.version)}
        key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        with self._file:
            self._file.execute("BEGIN")
            self._file.execute("INSERT OR REPLACE INTO version VALUES (1, ?)", (self.version,))
            if after is None:
                self._file.execute("DELETE FROM objects WHERE resource=? AND namespace=? AND name=?", (resource, *key))
            else:
                self._file.execute(
                    "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (resource, *key, orjson.dumps(after))
                )
        if after is None:
            del self._objects[resource][key]
        else:
            self._objects.setdefault(resource, {})[key] = after
        self._index(resource, before, after)
        self._tell(CommittedWrite(self.version, resource, before if after is not None else obj, after))
        return after

    def _index(self, resource: str, before: Object | None, after: Object | None) -> None:
        for obj, change in ((before, set.discard), (after, set.add)):
            for reference in (obj or {}).get("metadata", {}).get("ownerReferences", []):
                metadata = (obj or {})["metadata"]
                entry = (resource, metadata.get("namespace", ""), metadata["name"])
                change(self._dependents.setdefault(reference["uid"], set()), entry)

    def _tell(self, change: CommittedWrite) -> None:
        if len(self._history) == self._history.maxlen:
            self.oldest = self._history[0].version
        self._history.append(change)
        for queue in self._watchers.get(change.resource, ()):
            queue.put_nowait(change)

    async def watch(self, resource: str, since: int, idle: float, alive: Callable[[], bool]) -> Any:
        """Yield every change after version `since`, while `alive()`; after `idle` seconds of silence the version up to
        which nothing else has happened, as a write of nothing.

        Raises 410 where `since` is older than what is remembered.
        """
        if since < self.oldest:
            raise ApiError(410, "Expired", f"too old resource version: {since} ({self.oldest})")
        queue: asyncio.Queue[CommittedWrite] = asyncio.Queue()
        watchers = self._watchers.setdefault(resource, set())
        watchers.add(queue)
        try:
            start = bisect.bisect_right(self._history, since, key=lambda change: change.version)
            for change in [self._history[i] for i in range(start, len(self._history))]:
                if change.resource == resource:
                    yield change
            while alive():
                try:
                    async with asyncio.timeout(idle):
                        change = await queue.get()
                except TimeoutError:
                    if queue.empty():  # else it would name a version whose change was not sent yet
                        yield CommittedWrite(self.version, resource, None, None)
                else:
                    yield change
        finally:
            watchers.discard(queue)

    def forget_history(self) -> None:
        """Drop what is remembered, so that every watch from before must list again."""
        self._history.clear()
        self.oldest = self.version

    def close(self) -> None:
        """Close the file."""
        self._file.close()
