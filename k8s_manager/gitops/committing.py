"""The loop that brings the tree onto its branch, and looks which tree the cluster has.

A commit waits for quiet, and holds everything that has changed by then. What fails is tried again, at growing pauses;
documents are told, and stay. What is committed, what is applied and what is out of step stands in a ConfigMap, for
every replica of the manager and for the next leader.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from istio_templates import names
from istio_templates.errors import Conflict, TidegateError
from istio_templates.facts import ObjectKey
from k8s_manager.clock import Clock
from k8s_manager.gitops import messages
from k8s_manager.gitops.aside import aside
from k8s_manager.gitops.hybrid import MARK, TREE, Composer, Parts
from k8s_manager.gitops.layout import digest
from k8s_manager.gitops.repository import Access, Change, NotTaken, Pushed, Repository, Unreachable
from k8s_manager.gitops.sharing import Shares
from k8s_manager.gitops.stale import Stale
from k8s_manager.history import History
from k8s_manager.hold_off import hold_off
from k8s_manager.housing import housed
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.store import Store
from k8s_manager.metrics import GIT_COMMITS, GIT_FAILING, GIT_OUT_OF_STEP
from k8s_manager.revisions import Change as DocumentChange
from k8s_manager.revisions import change_of
from k8s_manager.rights import SYSTEM
from k8s_manager.settings import Git

log = logging.getLogger(__name__)
STATE = ObjectKey("ConfigMap", SYSTEM, "tidegate-git")
FIRST_PAUSE, LONGEST_PAUSE, LOOK_AGAIN = 1.0, 60.0, 5.0
COMMITS_KEPT, OBJECTS_TOLD, ASKED = 50, 50, 20
FRESH_AFTER = 100
"""Commits after which the repository in memory is begun anew."""
Opener = Callable[[str], Repository]
"""Returns the repository, at a branch."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of an attempt: the tree, its branch, and its commit."""

    tree: str
    branch: str
    pushed: Pushed


class TreeLoop:
    """Commits what is wanted."""

    def __init__(
        self,
        client: KubeClient,
        store: Store,
        history: History,
        clock: Clock,
        settings: Git,
        composer: Composer,
        open_: Opener,
    ) -> None:
        self._client, self._store, self._history, self._clock = client, store, history, clock
        self._settings, self.composer, self._open = settings, composer, open_
        self._wanted: Parts | None = None
        self._parted: Shares | None = None
        self._committed: Parts | None = None
        self._repositories: dict[str, Repository] = {}
        self._attempts, self._commits, self._due = 0, 0, 0.0
        self._again: float | None = None
        self._told: dict[str, Any] = {}
        self._state: dict[str, Any] = {}
        self._dirty, self.changed = asyncio.Event(), asyncio.Event()
        self.trouble: str | None = None

    @property
    def place(self) -> str:
        """Where the tree is, for people."""
        address = self._settings.address
        branch = self._state.get("committed", {}).get("branch", address.branch)
        return f"{address.url} ({branch}{f', {address.folder}' if address.folder else ''})"

    def want(self, parts: Parts, parted: Shares) -> None:
        """Have a tree committed, unless it is the one that was asked for last."""
        GIT_OUT_OF_STEP.set(len(parted.out_of_step))
        if parts != self._wanted:
            self._wanted, self._due = parts, 0.0
            self._dirty.set()
        if self._parted is None or _seen(parted) != _seen(self._parted):
            self._dirty.set()
        self._parted = parted

    def uncommitted(self) -> list[ObjectKey]:
        """Return the documents of which the branch has another generation, or none."""
        if self._wanted is None:
            return []
        there = self._committed.documents if self._committed else {}
        return [key for key, seen in self._wanted.documents.items() if there.get(key) != seen]

    async def run(self, leads: bool) -> None:
        """Commit and look until cancelled; only who leads does."""
        if not leads:
            return
        self._wanted = self._committed = None
        settings = self._settings
        async for _ in hold_off(self._dirty, settings.quiet, settings.longest, self._clock, lambda: self._again):
            try:
                await self._once()
            except TidegateError as error:
                log.warning("the state of the tree is not known: %s", error)
            # Nobody's parts come before the first pass, and with them an event.
            look = self._clock.now() + (LOOK_AGAIN if self._is_behind() else settings.every)
            self._again = min(self._due, look) if self._wanted else None

    async def _once(self) -> None:
        if not self._told:
            await self._load()
        if self._wanted is None:
            return
        if self._clock.now() >= self._due:
            before = self.trouble, self._committed
            await self._commit(self._wanted)
            GIT_FAILING.set(self.trouble is not None)
            if before != (self.trouble, self._committed):
                self.changed.set()
        await self._look()
        await self._tell()

    async def _commit(self, parts: Parts) -> None:
        """Make one attempt; what hinders it is told, and when the next is due set."""
        try:
            done = await self._put(parts)
        except TidegateError as error:
            self._fail(_sentence(error))
        except Exception as error:  # what nobody foresaw must not end the manager
            log.exception("the tree cannot be committed")
            self._fail(f"{error!r}; the manager's log says more")
        else:
            self._attempts, self.trouble, self._committed = 0, None, parts
            self._due = self._clock.now() + self._settings.every
            if done:
                self._note(done)

    def _fail(self, why: str) -> None:
        self._attempts += 1
        self._due = self._clock.now() + min(FIRST_PAUSE * 2 ** (self._attempts - 1), LONGEST_PAUSE)
        GIT_COMMITS.labels("failure").inc()
        if why != self.trouble:
            log.warning("the tree is not committed: %s", why)
        self.trouble = why

    async def _put(self, parts: Parts) -> _Done | None:
        """Compose, commit and push; None where there is nothing yet. Raises `TidegateError`."""
        if parts.is_blank and not self._state.get("committed"):
            return None
        if parts.is_blank:
            said = (
                "there is no document any more, and a tree is not emptied for that; take its files away if it is meant"
            )
            raise NotTaken(f"{self._settings.address.url}: {said}")
        changes = await self._changes(parts)
        if self._commits >= FRESH_AFTER:
            self._repositories, self._commits = {}, 0
        try:
            return await aside(lambda: self._push(parts, changes), self._settings.patience)
        except TimeoutError as error:
            self._repositories = {}  # the one that hangs is left to its thread
            said = f"{self._settings.address.url}: no answer within {self._settings.patience:.0f} s; it is tried again"
            raise Unreachable(said) from error

    def _push(self, parts: Parts, changes: dict[ObjectKey, DocumentChange | None]) -> _Done:
        """Compose and push; runs beside the loop."""
        address = self._settings.address
        there = self._at(address.branch).read()[1] if parts.kept else {}
        composed = self.composer.tree(parts, there)
        review = self._settings.review
        branch = f"tidegate/{digest(composed.tree)}" if review else address.branch

        def why(found: Stale) -> Change:
            behind = changes or self._guessed(found, parts)
            return Change(messages.message(found, behind), messages.author(list(behind.values())))

        repository = self._open(branch) if review else self._at(branch)
        return _Done(composed.mark, branch, repository.put(composed.tree, why, onto=address.branch if review else None))

    def _at(self, branch: str) -> Repository:
        if branch not in self._repositories:
            self._repositories[branch] = self._open(branch)
        return self._repositories[branch]

    async def _changes(self, parts: Parts) -> dict[ObjectKey, DocumentChange | None]:
        """Return who has changed which document since the last commit; empty where nobody has, or that is not known."""
        if self._committed is None:
            return {}
        before, found = self._committed.documents, {}
        for number, key in enumerate(sorted(key for key, seen in parts.documents.items() if before.get(key) != seen)):
            found[key] = await self._change(key, asked=number < ASKED)
        return {**found, **{key: None for key in before if key not in parts.documents}}

    async def _change(self, key: ObjectKey, asked: bool) -> DocumentChange:
        document = self._store.get(key)
        if document is None:
            return DocumentChange("somebody")
        try:
            return await self._history.last_change(document) if asked else change_of(document)
        except TidegateError:
            return change_of(document)

    def _guessed(self, found: Stale, parts: Parts) -> dict[ObjectKey, DocumentChange | None]:
        """Return the last changes of the documents whose files differ: which of them it was is not known."""
        owners = set(messages.owners(found))
        out: dict[ObjectKey, DocumentChange | None] = {}
        for key in parts.documents:
            document = self._store.get(key)
            if document is not None and parts.owners[key] in owners:
                out[key] = change_of(document)
        return out

    def _note(self, done: _Done) -> None:
        commits = [[done.tree, done.pushed.commit], *(c for c in self._state.get("commits", []) if c[0] != done.tree)]
        before = self._state.get("committed", {})
        changed = before.get("commit") != done.pushed.commit
        at = self._clock.utc().strftime("%Y-%m-%dT%H:%M:%SZ") if changed else before.get("at")
        committed = {"commit": done.pushed.commit, "tree": done.tree, "branch": done.branch, "at": at}
        self._state |= {"committed": committed, "commits": commits[:COMMITS_KEPT]}
        if done.pushed.stale.files:
            self._commits += 1
            log.info("the tree is at %s on %s: %s", done.pushed.commit, done.branch, done.pushed.stale)
        GIT_COMMITS.labels("success" if done.pushed.stale.files else "unchanged").inc()

    async def _look(self) -> None:
        """Read from the cluster which tree it has."""
        try:
            live = await self._client.get(MARK)
        except Absent:
            self._state["applied"] = None
            return
        tree = (live.get("data") or {}).get(TREE, "")
        commit = next((commit for known, commit in self._state.get("commits", []) if known == tree), None)
        self._state["applied"] = {"tree": tree, "commit": commit}

    def _is_behind(self) -> bool:
        committed, applied = self._state.get("committed"), self._state.get("applied")
        return bool(self._parted and self._parted.out_of_step) or (committed or {}).get("tree") != (applied or {}).get(
            "tree"
        )

    async def _load(self) -> None:
        """Take over what the last leader knew; of another place that is nothing."""
        found = await self.read()
        self._state = found if found.get("repository") == self._repository() else {}

    async def read(self) -> dict[str, Any]:
        """Return what whoever leads has told last; raises `TidegateError`."""
        try:
            return state_of(await self._client.get(STATE))
        except Absent:
            return {}

    def _repository(self) -> dict[str, str]:
        address = self._settings.address
        return {"url": address.url, "branch": address.branch, "folder": address.folder}

    async def _tell(self) -> None:
        parted = self._parted
        out = [*(parted.out_of_step.items() if parted else ()), *(parted.waiting.items() if parted else ())]
        said = {
            **self._state,
            "repository": self._repository(),
            "problem": self.trouble,
            "outOfStep": {"count": len(out), "objects": [{"object": str(k), "how": how} for k, how in _first(out)]},
        }
        if said == self._told:
            return
        await housed(self._client, self._store, SYSTEM)
        obj = names.manifest("v1", "ConfigMap", STATE.name, STATE.namespace, {"app.kubernetes.io/part-of": "tidegate"})
        await self._client.apply({**obj, "data": {"state": orjson.dumps(said).decode()}}, force=True)
        self._told = said


def tree_loop(client: KubeClient, store: Store, history: History, clock: Clock, settings: Git) -> TreeLoop:
    """Return the loop for a repository that is reached as the environment says."""
    address, access = settings.address, Access.of(os.environ)

    def open_(branch: str) -> Repository:
        return Repository(address.url, branch, address.folder, access)

    composer = Composer(address, with_overrides=settings.overrides == "commit")
    return TreeLoop(client, store, history, clock, settings, composer, open_)


def state_of(live: Any) -> dict[str, Any]:
    """Return what a ConfigMap of this loop's says; empty where somebody has made something else of it."""
    try:
        found = orjson.loads((live.get("data") or {}).get("state", ""))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _seen(parted: Shares) -> tuple[object, ...]:
    return parted.out_of_step, parted.waiting


def _first(out: list[tuple[ObjectKey, str]]) -> Iterable[tuple[ObjectKey, str]]:
    return sorted(out)[:OBJECTS_TOLD]


def _sentence(error: TidegateError) -> str:
    if isinstance(error, Conflict):
        return f"{error.subject}: " + "; ".join(str(problem) for problem in error.problems)
    return str(error)
