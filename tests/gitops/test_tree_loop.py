"""The loop that commits, with a repository that the test plays: what is late, what hangs, who leads next."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from istio_templates.errors import Conflict, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.gitops.layout import Tree
from k8s_manager.gitops.ownership import Shares
from k8s_manager.gitops.repository import Compose, Pushed
from k8s_manager.gitops.tree import Parts, PartsComposer
from k8s_manager.gitops.tree_diff import TreeDiff, stale
from k8s_manager.gitops.tree_loop import STATE, Remote, TreeLoop
from k8s_manager.history.recorder import HistoryRecorder
from k8s_manager.kube.errors import Absent, Unavailable
from k8s_manager.kube.fence import Fence
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.changes import Changes
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.git_address import Address
from k8s_manager.runtime.settings import Git
from k8s_manager.runtime.thread_call import MOST, run_in_thread
from tests.support.waiting import until

ADDRESS = Address("https://git.example.com/a.git")
KEY = ObjectKey("Model", "search", "ranker")
MODEL = {"tidegate.dev/tenant": "search", "tidegate.dev/model": "ranker"}


class Repository:
    """A branch in memory that waits, or refuses, as the test says."""

    def __init__(self) -> None:
        self.tree: Tree = {}
        self.commits: list[Tree] = []
        self.error: Exception | None = None
        self.go = threading.Event()
        self.go.set()
        self.wanted: list[bool] = []

    def read(self) -> tuple[str | None, Tree]:
        return (str(len(self.commits)) if self.commits else None), dict(self.tree)

    def put(
        self, tree: Compose, change: Any, onto: str | None = None, is_wanted: Callable[[], bool] = lambda: True
    ) -> Pushed:
        self.go.wait(30)
        self.wanted.append(is_wanted())
        if self.error:
            raise self.error
        wanted = tree(dict(self.tree))
        found = stale("there", self.tree, wanted)
        if found.files:
            change(found)
            self.tree = wanted
            self.commits.append(wanted)
        return Pushed(str(len(self.commits)), TreeDiff(found.files))


class Kubernetes:
    """An API server that holds ConfigMaps, or is away."""

    def __init__(self) -> None:
        self.objects: dict[ObjectKey, Manifest] = {}
        self.away = False
        self.calls = 0
        self.fence = Fence(None)

    async def get(self, key: ObjectKey) -> Manifest:
        self.calls += 1
        if self.away:
            raise Unavailable("away")
        if key not in self.objects:
            raise Absent(str(key))
        return self.objects[key]

    async def apply(self, obj: Manifest, force: bool) -> Manifest:
        key = ObjectKey(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        self.objects[key] = obj
        return obj


def parts(number: int) -> Parts:
    """Return the parts of a tree with one Service, of a generation."""
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "search", "labels": MODEL},
        "spec": {"port": number},
    }  # fmt: skip
    owner = ("", "search", "ranker")
    return Parts({ObjectKey("Service", "search", "a"): service}, documents={KEY: ("u", number)}, owners={KEY: owner})


class Scene:
    """A loop and what it talks to."""

    def __init__(self, **settings: Any) -> None:
        clock, self.kubernetes, self.repository = SystemClock(), Kubernetes(), Repository()
        store = Store(("Model", "Namespace"), clock)
        given = {"quiet": 0.01, "longest": 0.05, "every": 1000.0, "patience": 20.0, **settings}
        git, client = Git(ADDRESS, **given), self.kubernetes
        history = HistoryRecorder(client, client, store, clock, 1.0, asyncio.Event())  # type: ignore[arg-type]
        composer = PartsComposer(with_overrides=False)
        remote = Remote(lambda _: self.repository)  # type: ignore[arg-type, return-value]
        self.loop = TreeLoop(client, store, history, clock, git, composer, remote, asyncio.Event())  # type: ignore[arg-type]

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        """Lead until the block ends."""
        task = asyncio.create_task(self.loop.run(True))
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def want(self, number: int) -> None:
        """Ask for a tree."""
        self.loop.want(parts(number), Shares(Changes()))

    async def committed(self, count: int) -> None:
        """Wait for so many commits."""
        await until(lambda: len(self.repository.commits) == count, f"{count} commits")


async def test_a_change_that_comes_while_another_is_pushed_is_committed_at_once():
    scene = Scene()
    async with scene.leading():
        scene.repository.go.clear()
        scene.want(1)
        await asyncio.sleep(0.2)
        scene.want(2)
        scene.repository.go.set()
        await scene.committed(2)
        await until(lambda: scene.loop.uncommitted() == [], "nothing being left to commit")


async def test_an_api_server_that_is_away_is_not_asked_without_pause():
    scene = Scene()
    scene.kubernetes.away = True
    async with scene.leading():
        scene.want(1)
        await asyncio.sleep(0.6)
    assert 1 <= scene.kubernetes.calls <= 5


async def test_what_hangs_is_told_and_pushes_nothing_when_it_wakes():
    scene = Scene(patience=0.1)
    scene.repository.go.clear()
    async with scene.leading():
        scene.want(1)
        await until(lambda: scene.loop.trouble, what="the trouble")
        assert "no answer within 0 s; it is tried again" in str(scene.loop.trouble)
        assert scene.loop.uncommitted() == [KEY]
    scene.repository.go.set()
    await until(lambda: scene.repository.wanted, what="it having woken up")
    assert not any(scene.repository.wanted)


async def test_a_leader_of_another_term_believes_nothing_of_the_one_before():
    scene = Scene()
    scene.repository.error = Conflict("the tree", [Problem(f"p{n}", "is in the way") for n in range(5000)])
    async with scene.leading():
        scene.want(1)
        await until(lambda: scene.loop.trouble, what="the trouble")
        assert str(scene.loop.trouble).endswith("p2: is in the way; and 4997 more")
        assert len(scene.kubernetes.objects[STATE]["data"]["state"]) < 2000
    await scene.loop.run(False)
    assert scene.loop.trouble is None and scene.loop.uncommitted() == []
    scene.repository.error = None
    async with scene.leading():
        scene.want(1)
        await scene.committed(1)
        await until(lambda: '"problem":null' in scene.kubernetes.objects[STATE]["data"]["state"], what="the state")


async def test_an_error_that_nobody_foresaw_is_told_and_the_loop_goes_on():
    scene = Scene()
    scene.repository.error = RuntimeError("odd")
    async with scene.leading():
        scene.want(1)
        await until(lambda: "RuntimeError('odd')" in str(scene.loop.trouble), what="the trouble")
        scene.repository.error = None
        await scene.committed(1)


async def test_what_runs_aside_returns_raises_and_is_left_alone():
    assert await run_in_thread(lambda is_wanted: is_wanted(), 5) is True
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(lambda _: 1 // 0, 5)
    gate, seen = threading.Event(), []

    def hang(is_wanted: Callable[[], bool]) -> None:
        gate.wait(30)
        seen.append(is_wanted())

    try:
        for _ in range(MOST):
            with pytest.raises(TimeoutError):
                await run_in_thread(hang, 0.01)
        with pytest.raises(TimeoutError, match="hang already"):
            await run_in_thread(lambda _: "never begun", 5)
    finally:
        gate.set()
    await until(lambda: len(seen) == MOST, what="all having woken up")
    assert not any(seen)
    await until(_free, what="room for another")


async def _free() -> bool:
    try:
        return await run_in_thread(lambda _: True, 5)
    except TimeoutError:
        return False
