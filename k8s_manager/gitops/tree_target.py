"""The Git tree as a target: what is Git's is committed and not written, what is the manager's is written as ever."""

from dataclasses import replace

from k8s_manager.gitops.ownership import moving_weights, sentences, shares
from k8s_manager.gitops.tree_loop import TreeLoop
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.apply import ApplyTarget, Basis, Results
from k8s_manager.pipeline.changes import Changes
from k8s_manager.world.condition import Condition


class TreeTarget:
    """Parts changes between the tree and the cluster."""

    def __init__(self, cluster: ApplyTarget, tree: TreeLoop, store: Store) -> None:
        self._cluster, self._tree, self._store = cluster, tree, store

    async def apply(self, changes: Changes, basis: Basis) -> Results:
        """Write what is the manager's, hand on what is Git's, and say what Git has yet to bring."""
        parted = shares(changes, self._store.owned, basis.plan.tenants)
        parts = self._tree.composer.parts(basis, changes, self._store.owned)
        self._tree.want(parts, replace(parted, moving=moving_weights(changes.desired, parts.runtime)))
        results = await self._cluster.apply(parted.ours, basis)
        uncommitted = {parts.owners[key] for key in self._tree.uncommitted()}
        told = dict(sentences(parted))
        for owner in told.keys() | (uncommitted if self._tree.trouble else set()):
            results.behind[owner] = self._told(told.get(owner, ""), owner in uncommitted)
        return results

    def _told(self, said: str, is_uncommitted: bool) -> Condition:
        if not is_uncommitted:
            return Condition("Programmed", False, "AwaitsGit", f"{said}. In Git it is done: {self._tree.to_do}")
        why = self._tree.trouble or "a commit is on its way"
        return Condition("Programmed", False, "NotCommitted", f"its manifests are not in Git yet: {why}")
