"""What a list says is the truth, but not at once where it is older than what is known, nor of documents that it lacks."""

import asyncio
import contextlib

import pytest

from k8s_manager.kube.errors import Absent, Expired
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.kube.store import Store
from k8s_manager.kube.watch import RELIST_SECONDS, Watcher


class Clock:
    """A clock that goes on by what is waited for."""

    at = 0.0

    def now(self):
        return self.at

    async def wait(self, event, seconds):
        self.at += seconds
        await asyncio.sleep(0)
        return False


END = asyncio.CancelledError()
"""What ends a test in place of an event."""
EXPIRED = Expired("too old")


class Server:
    """An API server that gives one list after the other; each watch gives its events and ends after 45 s."""

    def __init__(self, clock, lists, watches=(), there=()):
        self.clock, self.lists, self.watches = clock, list(lists), list(watches)
        self.there, self.listed_at = list(there), []

    async def list(self, resource, selector):
        if not self.lists:
            raise asyncio.CancelledError
        self.listed_at.append(self.clock.at)
        objects, version = self.lists.pop(0)
        return [dict(obj, metadata=dict(obj["metadata"])) for obj in objects], str(version)

    async def watch(self, resource, version, selector):
        for event in self.watches.pop(0) if self.watches else []:
            if isinstance(event, BaseException):
                raise event
            yield event
        self.clock.at += 45.0

    async def get(self, key):
        for obj in self.there:
            if obj["metadata"]["name"] == key.name:
                return obj
        raise Absent(f"{key} is gone")


def document(name: str, version: int, kind: str = "Tenant", **more) -> dict:
    metadata = {"name": name, "uid": f"uid-of-{name}", "resourceVersion": str(version), "generation": 1}
    return {"apiVersion": "tidegate.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": more}


def pod(name: str, version: int, **more) -> dict:
    obj = document(name, version, "Pod", **more)
    return {**obj, "metadata": {**obj["metadata"], "namespace": "search"}}


async def followed(kind, lists, watches=(), there=()):
    """Return the store and the server once all lists were given."""
    clock = Clock()
    store = Store((kind,), clock)
    server = Server(clock, lists, watches, there)
    with contextlib.suppress(asyncio.CancelledError):
        await Watcher(server, store, RESOURCES[kind], clock).run()
    return store, server


def names(store, kind):
    return sorted(obj["metadata"]["name"] for obj in store.all(kind))


async def test_a_list_that_is_older_than_what_is_known_changes_nothing_at_first():
    now = [pod("a", 7), pod("b", 9)]
    store, server = await followed("Pod", [(now, 10), ([pod("a", 7)], 8), (now, 10)], [[EXPIRED]])
    assert names(store, "Pod") == ["a", "b"]
    assert server.listed_at[2] - server.listed_at[1] < 5.0


async def test_a_list_that_stays_older_is_of_a_restored_store_and_is_taken_whole():
    now, restored = [pod("a", 7, new=True), pod("b", 9)], [pod("a", 3, new=False)]
    store, _ = await followed("Pod", [(now, 10), *[(restored, 4)] * 12])
    assert [(obj["metadata"]["name"], obj["spec"]) for obj in store.all("Pod")] == [("a", {"new": False})]


async def test_events_after_a_restore_are_taken_although_their_versions_are_lower():
    restored, changed = [pod("a", 3)], ("MODIFIED", pod("a", 5, again=True))
    store, _ = await followed("Pod", [([pod("a", 90)], 100), *[(restored, 4)] * 30], [[EXPIRED], [changed, END]])
    assert next(store.all("Pod"))["spec"] == {"again": True}


async def test_a_restored_store_that_is_ahead_again_is_taken_whole_too():
    lists = [([pod("a", 90, of="before"), pod("b", 95)], 100), ([pod("a", 60, of="after")], 120)]
    store, _ = await followed("Pod", lists)
    assert [(obj["metadata"]["name"], obj["spec"]) for obj in store.all("Pod")] == [("a", {"of": "after"})]


async def test_two_histories_with_the_same_version_are_told_apart():
    lists = [([pod("a", 90, of="before")], 100), ([pod("a", 90, of="after")], 120)]
    store, _ = await followed("Pod", lists)
    assert next(store.all("Pod"))["spec"] == {"of": "after"}


async def test_what_was_written_while_a_list_was_under_way_stays():
    clock = Clock()
    store = Store(("Pod",), clock)
    store.replace("Pod", [pod("a", 5)], 6)
    store.put(pod("a", 9, written=True))
    store.put(pod("b", 8))
    store.replace("Pod", [pod("a", 5)], 7)
    assert names(store, "Pod") == ["a", "b"]
    assert next(store.all("Pod"))["spec"] == {"written": True}


@pytest.mark.parametrize("kind", ["Tenant", "Model", "InferenceGateway", "LimitOverride"])
async def test_a_document_that_a_list_lacks_stays_until_a_get_says_that_it_is_gone(kind):
    kept, gone = document("kept", 3, kind), document("gone", 4, kind)
    store, _ = await followed(kind, [([kept, gone], 10), ([], 12)], there=[kept])
    assert names(store, kind) == ["kept"]


async def test_a_lost_event_is_repaired_by_a_list_in_the_background():
    lists = [([pod("a", 3)], 4), ([pod("a", 3), pod("lost", 5)], 6)]
    store, server = await followed("Pod", lists, [[]] * 40)
    assert names(store, "Pod") == ["a", "lost"]
    assert 0.5 * RELIST_SECONDS <= server.listed_at[1] <= 1.5 * RELIST_SECONDS + 45


def versioned(version, uid="u1", kind="Tenant"):
    metadata = {"name": "search", "namespace": "", "uid": uid, "resourceVersion": str(version)}
    return {"kind": kind, "apiVersion": "tidegate.dev/v1alpha1", "metadata": metadata}


@pytest.mark.parametrize("late", [3, 4, 5], ids=["an older state", "its last state", "the deletion itself"])
def test_an_answer_that_comes_after_a_deletion_brings_nothing_back(late):
    store = Store(("Tenant",), Clock())
    store.put(versioned(3))
    store.drop(versioned(5))
    store.put(versioned(late))
    assert list(store.all("Tenant")) == []


def test_one_that_is_made_again_or_restored_is_there_again():
    store = Store(("Tenant",), Clock())
    store.put(versioned(3))
    store.drop(versioned(5))
    store.put(versioned(6, uid="u2"))
    store.put(versioned(4))
    assert [obj["metadata"]["uid"] for obj in store.all("Tenant")] == ["u2"]
    store.drop(versioned(7, uid="u2"))
    store.replace("Tenant", [versioned(4)], 9)  # etcd was restored
    assert [obj["metadata"]["uid"] for obj in store.all("Tenant")] == ["u1"]


def test_not_more_deletions_are_remembered_than_are_needed(monkeypatch):
    monkeypatch.setattr("k8s_manager.kube.store.MOST_GONE", 2)
    store = Store(("Tenant",), Clock())
    for number in range(1, 5):
        store.drop(versioned(number, uid=f"u{number}"))
    store.put(versioned(4, uid="u4"))
    assert list(store.all("Tenant")) == []
    store.put(versioned(1, uid="u1"))
    assert len(list(store.all("Tenant"))) == 1
