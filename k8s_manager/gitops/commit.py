"""Bring a tree onto its branch: read what is there, compose, compare, push. It blocks, and runs beside the loop.

A branch belongs to one cluster. The tree of another one, or of the same one before it was rebuilt, is not
overwritten: what it has more a tool that applies it with pruning would delete.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from k8s_manager.gitops.layout import MARK_FILE, Tree, digest, review_branch
from k8s_manager.gitops.repository import CommitInfo, NotTaken, Pushed, Repository
from k8s_manager.gitops.tree import Composed, Parts, TreeComposer, cluster_of
from k8s_manager.gitops.tree_diff import TreeDiff, stale
from k8s_manager.runtime.settings import Git

_WHOLE = re.compile(r"(tenants|gateways)/.*/?(namespace|virtualservice)_[^/]*$")
_IS_WHOLE = (
    "there is a tree of `tidegate render`, with namespaces and routes, which are the manager's here; a tool that "
    "applies it would delete those. Give the manager a folder of its own, and remove the old one without pruning"
)
FRESH_AFTER = 200
"""Attempts after which the repository in memory is made again: it keeps every object that it has read."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is to be committed; how a commit is explained; what was committed before (mark, base and branch); by what
    the cluster differs from others; and whether it may still be pushed: the loop waits for it, and this manager is the
    leader."""

    parts: Parts
    explain: Callable[[TreeDiff], CommitInfo]
    last: Mapping[str, str]
    cluster: str
    is_wanted: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Done:
    """Result of an attempt: the tree's mark, its branch, a digest of what the attempt began from, and the commit."""

    mark: str
    branch: str
    base: str
    pushed: Pushed


class Committer:
    """Commits the tree of one cluster; `open_` returns the repository at a branch. Only one thread at a time may use
    it: repository and composer remember what they have read and written."""

    def __init__(self, settings: Git, open_: Callable[[str], Repository]) -> None:
        self._settings, self._composer, self._open = settings, TreeComposer(settings.address), open_
        self._repository, self._attempts = open_(settings.address.branch), 0

    def commit(self, attempt: Attempt) -> Done:
        """Commit a tree; raises `TidegateError`."""
        self._attempts += 1
        if self._attempts % FRESH_AFTER == 0:
            self._repository = self._open(self._settings.address.branch)
        if self._settings.review:
            return self._for_review(attempt)
        marks = []

        def compose(there: Tree) -> Tree:
            composed = self._composed(attempt, there)
            marks.append(composed.mark)
            return composed.tree

        pushed = self._repository.put(compose, attempt.explain, is_wanted=attempt.is_wanted)
        return Done(marks[-1], self._settings.address.branch, "", pushed)

    def _composed(self, attempt: Attempt, there: Tree) -> Composed:
        if cluster_of(there) not in ("", attempt.cluster):
            raise NotTaken(self._is_anothers(cluster_of(there)))
        if MARK_FILE not in there and any(_WHOLE.match(path) for path in there):
            raise NotTaken(f"{self._settings.address.url}: {_IS_WHOLE}")
        return self._composer.tree(attempt.parts, there, attempt.cluster)

    def _for_review(self, attempt: Attempt) -> Done:
        """Commit a tree to a branch of its own, unless it has been merged; as long as neither it nor what it is to be
        merged into is another, that stays the same branch."""
        tip, there = self._repository.read()
        composed, address, base = self._composed(attempt, there), self._settings.address, digest(there)
        if tip and not stale(address.url, there, composed.tree).files:
            return Done(composed.mark, address.branch, base, Pushed(tip, TreeDiff(())))
        last = attempt.last
        is_same = (last.get("tree"), last.get("base")) == (composed.mark, base) and last.get("branch") != address.branch
        branch = last["branch"] if is_same else review_branch(composed.tree, tip)
        pushed = self._open(branch).put(composed.tree, attempt.explain, address.branch, attempt.is_wanted)
        return Done(composed.mark, branch, base, pushed)

    def _is_anothers(self, cluster: str) -> str:
        address = self._settings.address
        said = f"the tree on {address.branch} is of another cluster ({cluster}); give each a folder of its own, or"
        return f"{address.url}: {said} delete {MARK_FILE} to give the tree to this cluster"
