"""A branch of a Git server in simulated time, and a tool that applies the tree on it, with pruning."""

import asyncio
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import yaml

from istio_templates.errors import Transient
from istio_templates.facts import ObjectKey
from istio_templates.names import key_of
from k8s_manager.gitops.layout import KUSTOMIZATION, Tree
from k8s_manager.gitops.repository import Compose, Overtaken, Pushed
from k8s_manager.gitops.tree_diff import TreeDiff, stale
from k8s_manager.gitops.tree_loop import Remote
from tests.faults.cluster import Cluster
from tests.faults.transport import DELAY_SECONDS, Transport

VERB, KIND = "push", "Branch"
APPLY_SECONDS = 3.0
"""The pause between two looks of the tool."""
TOOL = "kustomize-controller"


class Unanswered(Transient):
    """A Git server that does not answer, or whose answer is lost."""


class Branch:
    """The files of the only branch, and the number of its commits."""

    def __init__(self) -> None:
        self.files: Tree = {}
        self.commits = 0

    def remote(self, transport: Transport) -> Remote:
        """Return how one manager reaches the branch: its calls fail and die as those to the API server do."""
        return Remote(lambda _: self, partial(self._called, transport))  # type: ignore[arg-type, return-value]

    async def _called(self, transport: Transport, work: Callable[[Callable[[], bool]], Any], seconds: float) -> Any:
        """Make a call as a thread would, without one."""

        async def done() -> Any:
            return work(lambda: True)

        return await transport.carried(VERB, KIND, partial(_faulty, work, seconds), done)

    def read(self) -> tuple[str | None, Tree]:
        """Return the commit and the files, as a repository does."""
        return (self._commit() if self.commits else None), dict(self.files)

    def put(
        self, tree: Compose, change: Any, onto: str | None = None, is_wanted: Callable[[], bool] = lambda: True
    ) -> Pushed:
        """Commit a tree, as a repository does; the same files have the same commit."""
        wanted = tree(dict(self.files))
        found = stale("branch", self.files, wanted)
        if found.files:
            change(found)
            if not is_wanted():
                raise Overtaken("the branch: no request waits for this commit any more")
            self.files, self.commits = wanted, self.commits + 1
        return Pushed(self._commit(), TreeDiff(found.files))

    def _commit(self) -> str:
        return hashlib.sha1(
            "".join(f"{path}\0{self.files[path]}\0" for path in sorted(self.files)).encode()
        ).hexdigest()

    async def run_tool(self, cluster: Cluster) -> None:
        """Apply the tree whenever it is another one, and prune what it has no more, until cancelled."""
        applied: Tree = {}
        there: set[ObjectKey] = set()
        while True:
            await asyncio.sleep(APPLY_SECONDS)
            if self.files == applied:
                continue
            applied, objects = self.files, [yaml.safe_load(self.files[path]) for path in _listed(self.files)]
            for obj in objects:
                if cluster.get("Namespace", obj["metadata"]["namespace"]):
                    cluster.apply(obj, manager=TOOL)
                else:  # made by the manager at any moment: the tool looks again
                    applied = {}
            keys = {key_of(obj) for obj in objects}
            for key in sorted(there - keys, reverse=True):
                _prune(cluster, key)
            there = keys


def _listed(files: Tree, folder: str = "") -> list[str]:
    """Return the paths of the files that kustomize reads, from a folder on."""
    out = []
    for name in yaml.safe_load(files[f"{folder}{KUSTOMIZATION}"])["resources"]:
        path = f"{folder}{name}"
        out += _listed(files, f"{path}/") if f"{path}/{KUSTOMIZATION}" in files else [path]
    return out


def _prune(cluster: Cluster, key: ObjectKey) -> None:
    if cluster.get(*key[::2], key.namespace):
        cluster.delete(*key[::2], key.namespace)


async def _faulty(work: Callable[[Callable[[], bool]], Any], seconds: float, fault: str) -> Any:
    """Do what a fault makes of a call: a push that is lost was made, and one that is late is made."""
    if fault in ("hang", "timeout"):
        await asyncio.sleep(seconds)
        raise TimeoutError
    if fault == "delay":
        await asyncio.sleep(DELAY_SECONDS)
        return work(lambda: True)
    if fault in ("lost", "torn"):
        work(lambda: True)
    raise Unanswered(f"the branch: {fault}")
