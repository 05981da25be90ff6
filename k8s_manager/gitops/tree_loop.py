"""The loop that brings the tree onto its branch, and looks which tree the cluster has.

A commit waits for quiet, and holds everything that has changed by then. What fails is tried again, at growing pauses;
conditions say so, and documents stay. What is committed, what is applied and what is out of step stands in a
ConfigMap, for every replica of the manager and for the next leader.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import orjson

from istio_templates import names
from istio_templates.errors import Conflict, TidegateError
from istio_templates.facts import ObjectKey
from k8s_manager.gitops import commit_message
from k8s_manager.gitops.commit import Attempt, Committer, Done
from k8s_manager.gitops.field_handback import give_up
from k8s_manager.gitops.ownership import Shares
from k8s_manager.gitops.repository import Access, CommitInfo, NotTaken, Repository, Unreachable
from k8s_manager.gitops.tree import MARK, TREE, Parts, PartsComposer
from k8s_manager.gitops.tree_diff import TreeDiff
from k8s_manager.history.recorder import HistoryRecorder
from k8s_manager.history.revision import ChangeAuthor as DocumentChange
from k8s_manager.history.revision import change_of
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.own_namespace import ensure_namespace
from k8s_manager.kube.store import Store
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import Cadence, control_loop
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.metrics import GIT_COMMITS, GIT_FAILING, GIT_OUT_OF_STEP
from k8s_manager.runtime.sentences import cut
from k8s_manager.runtime.settings import Git
from k8s_manager.runtime.thread_call import run_in_thread
from k8s_manager.runtime.timestamp import timestamp
from k8s_manager.world.installation import LABELS, SYSTEM

log = logging.getLogger(__name__)
STATE = ObjectKey("ConfigMap", SYSTEM, "tidegate-git")
BACKOFF, LOOK_AGAIN = Backoff(1.0, 60.0), 5.0
COMMITS_KEPT, OBJECTS_SHOWN, HISTORY_READS = 50, 50, 20
SHORTEST = 0.05
"""Seconds between two looks at the least, whatever is due."""
LONGEST_SENTENCE, PROBLEMS_SHOWN = 1000, 3
Opener = Callable[[str], Repository]
"""Returns the repository, at a branch."""
BlockingCall = Callable[[Callable[[Callable[[], bool]], Done], float], Awaitable[Done]]
"""Makes a blocking call beside the loop, as `run_in_thread` does."""


class Remote(NamedTuple):
    """Another server's repository: how it is opened at a branch, and how a call that waits for it is made."""

    open_: Opener
    call: BlockingCall = run_in_thread


class TreeLoop:
    """Commits the desired tree."""

    def __init__(
        self,
        client: FencedClient,
        store: Store,
        history: HistoryRecorder,
        clock: Clock,
        settings: Git,
        composer: PartsComposer,
        remote: Remote,
        changed: asyncio.Event,
    ) -> None:
        self._client, self._store, self._history, self._clock = client, store, history, clock
        self._settings, self.composer, self._remote = settings, composer, remote
        self._changed = changed
        self._begin()

    def _begin(self) -> None:
        """Know nothing: what was known is of an earlier term."""
        self._wanted: Parts | None = None
        self._parted: Shares | None = None
        self._committed: Parts | None = None
        self._committer = self._new_committer()
        self._attempts, self._due = 0, 0.0
        self._written_state: dict[str, Any] | None = None
        self._state: dict[str, Any] = {}
        self._trigger, self._yielded = asyncio.Event(), False
        self.trouble: str | None = None
        GIT_FAILING.set(0)
        GIT_OUT_OF_STEP.set(0)

    @property
    def to_do(self) -> str:
        """What people have to do so that the cluster is as the tree."""
        address = self._settings.address
        branch = self._state.get("committed", {}).get("branch", address.branch)
        if branch != address.branch:
            return f"merge {branch} of {address.url}, and apply it"
        return f"apply (and prune) {address.url} ({branch}{f', {address.folder}' if address.folder else ''})"

    def want(self, parts: Parts, parted: Shares) -> None:
        """Have a tree committed, unless it is the one that was asked for last; while attempts fail, at the next."""
        GIT_OUT_OF_STEP.set(len(parted.out_of_step) + len(parted.waiting))
        if parts != self._wanted:
            self._wanted = parts
            self._due = self._due if self._attempts else 0.0
            self._trigger.set()
        if self._parted is None or _seen(parted) != _seen(self._parted):
            self._trigger.set()
        self._parted = parted

    def uncommitted(self) -> list[ObjectKey]:
        """Return the documents of which the branch has another generation, or none; before a first attempt it knows of
        none."""
        if self._wanted is None or (self._committed is None and self.trouble is None):
            return []
        there = self._committed.documents if self._committed else {}
        return [key for key, seen in self._wanted.documents.items() if there.get(key) != seen]

    async def run(self, leads: bool) -> None:
        """Commit and look until cancelled; only the leader does."""
        self._begin()
        if not leads:
            return
        cadence = Cadence(self._settings.quiet, self._settings.longest)
        await control_loop("tree", self._once, Effects(self._clock, self._trigger), cadence, self._clock)

    def _next(self) -> float | None:
        """Return when the next pass is due: no parts come before the main loop's first pass, and they trigger one."""
        if self._wanted is None:
            return None
        now = self._clock.now()
        look = now + (LOOK_AGAIN if self._is_behind() else self._settings.every)
        return min(max(self._due, now + SHORTEST), look)

    async def _once(self) -> float | None:
        if self._written_state is None:
            await self._load()
        if self._wanted is None:
            return None
        if self._clock.now() >= self._due:
            before = self.trouble, self._committed
            await self._commit(self._wanted)
            GIT_FAILING.set(self.trouble is not None)
            if before != (self.trouble, self._committed):
                self._changed.set()
        await self._look()
        await self._write_state()
        if not (self._yielded or self._is_behind() or self.trouble):
            await give_up(self._client)
            self._yielded = True
        return self._next()

    async def _commit(self, parts: Parts) -> None:
        """Make one attempt; set what hinders it and when the next is due."""
        try:
            done = await self._put(parts)
        except TidegateError as error:
            self._fail(_sentence(error))
        except Exception as error:  # an unforeseen error must not end the manager
            log.exception("the tree cannot be committed")
            self._fail(f"{error!r}; the manager's log says more")
        else:
            self._attempts, self.trouble, self._committed = 0, None, parts
            pause = self._settings.every if self._wanted is parts else self._settings.quiet
            self._due = self._clock.now() + pause
            if done:
                self._note(done, len(parts.documents))

    def _fail(self, why: str) -> None:
        self._attempts += 1
        self._due = self._clock.now() + BACKOFF.pause(self._attempts)
        GIT_COMMITS.labels("failure").inc()
        said = why if len(why) <= LONGEST_SENTENCE else f"{why[:LONGEST_SENTENCE]} ..."
        if said != self.trouble:
            log.warning("the tree is not committed: %s", said)
        self.trouble = said

    async def _put(self, parts: Parts) -> Done | None:
        """Compose, commit and push; None where there is nothing yet. Raises `TidegateError`."""
        address, last = self._settings.address, self._state.get("committed", {})
        if parts.is_blank and not last.get("documents"):
            return None
        if parts.is_blank:
            said = "there is no document any more, and a tree is not emptied for that; take its files away if it is so"
            raise NotTaken(f"{address.url}: {said}")
        changes, cluster, committer = await self._changes(parts), self._cluster(), self._committer
        fence = self._client.fence
        # The thread reads nothing that the loop changes: what explains the commit is read here.
        explain = partial(_explain_changes, parts, changes) if changes is not None else self._explain_first(parts)
        try:
            return await self._remote.call(
                lambda waits: committer.commit(
                    Attempt(parts, explain, last, cluster, lambda: waits() and fence.is_open())
                ),
                self._settings.patience,
            )
        except TimeoutError as error:
            self._committer = self._new_committer()  # the abandoned thread keeps the other one for itself
            said = f"{address.url}: no answer within {self._settings.patience:.0f} s; it is tried again"
            raise Unreachable(said) from error

    def _cluster(self) -> str:
        """Return what identifies this cluster; empty where it has nothing of the kind."""
        found = self._store.get(ObjectKey("Namespace", "", "kube-system"))
        return str(found["metadata"]["uid"]) if found else ""

    async def _changes(self, parts: Parts) -> dict[ObjectKey, DocumentChange | None] | None:
        """Return who has changed which document since the last commit; None where that is not known."""
        if self._committed is None:
            return None
        before = self._committed.documents
        differing = sorted(key for key, seen in parts.documents.items() if before.get(key) != seen)
        found = {key: await self._change(key, asked=number < HISTORY_READS) for number, key in enumerate(differing)}
        gone = [key for key in before if key not in parts.documents]
        return {**found, **{key: self._deletion(key) for key in gone}}

    def _deletion(self, key: ObjectKey) -> DocumentChange | None:
        """Return who deleted a document; None where it is gone already."""
        document = self._store.get(key)
        return change_of(document) if document else None

    async def _change(self, key: ObjectKey, asked: bool) -> DocumentChange:
        document = self._store.get(key)
        if document is None:
            return DocumentChange("an unknown client")
        try:
            return await self._history.last_change(document) if asked else change_of(document)
        except TidegateError:
            return change_of(document)

    def _explain_first(self, parts: Parts) -> Callable[[TreeDiff], CommitInfo]:
        """Return how a commit is explained when it is not known which changes are in it: by the last change of each
        document whose files differ."""
        documents = {key: self._store.get(key) for key in parts.documents}
        last_changes = {key: change_of(document) for key, document in documents.items() if document is not None}
        return partial(_explain_last_changes, parts, last_changes)

    def _new_committer(self) -> Committer:
        return Committer(self._settings, self._remote.open_)

    def _note(self, done: Done, documents: int) -> None:
        """Note a commit; one that holds the tree already is the newest of the branch, no matter who made it, and stays
        as it was noted."""
        before = self._state.get("committed", {})
        is_same = (before.get("tree"), before.get("branch")) == (done.mark, done.branch)
        is_noted = is_same and not done.pushed.stale.files
        commit = before["commit"] if is_noted else done.pushed.commit
        at = before["at"] if is_noted else timestamp(self._clock.utc())
        committed = {"commit": commit, "tree": done.mark, "branch": done.branch, "base": done.base, "at": at}
        committed["documents"] = documents
        commits = [[done.mark, commit], *(known for known in self._state.get("commits", []) if known[0] != done.mark)]
        self._state |= {"committed": committed, "commits": commits[:COMMITS_KEPT]}
        if done.pushed.stale.files:
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
        committed, applied = self._state.get("committed") or {}, self._state.get("applied") or {}
        return bool(self._parted and self._parted.out_of_step) or committed.get("tree") != applied.get("tree")

    async def _load(self) -> None:
        """Take over what the last leader knew; of another place that is nothing."""
        found = await self.read()
        is_ours = found.get("repository") == self._repository() and isinstance(found.get("committed", {}), dict)
        self._state = {name: found[name] for name in ("committed", "commits") if name in found} if is_ours else {}
        if not all(isinstance(known, list) and len(known) == 2 for known in self._state.get("commits") or []):
            self._state = {}

    async def read(self) -> dict[str, Any]:
        """Return the state that the leader wrote last; raises `TidegateError`."""
        try:
            return state_of(await self._client.get(STATE))
        except Absent:
            return {}

    def _repository(self) -> dict[str, str]:
        address = self._settings.address
        return {"url": address.url, "branch": address.branch, "folder": address.folder}

    async def _write_state(self) -> None:
        parted = self._parted
        out = [*(parted.out_of_step.items() if parted else ()), *(parted.waiting.items() if parted else ())]
        moving = _first([*parted.moving.items()] if parted else [])
        said = {
            **self._state,
            "repository": self._repository(),
            "problem": self.trouble,
            "outOfStep": {"count": len(out), "objects": [{"object": str(k), "how": how} for k, how in _first(out)]},
            "moving": [{"object": str(key), "how": how} for key, how in moving],
        }
        if said == self._written_state:
            return
        await ensure_namespace(self._client, self._store, SYSTEM)
        obj = names.manifest("v1", "ConfigMap", STATE.name, STATE.namespace, LABELS)
        await self._client.apply({**obj, "data": {"state": orjson.dumps(said).decode()}}, force=True)
        self._written_state = said


def tree_loop(
    client: FencedClient,
    store: Store,
    history: HistoryRecorder,
    clock: Clock,
    settings: Git,
    changed: asyncio.Event,
    remote: Remote | None = None,
) -> TreeLoop:
    """Return the loop for a repository; without a remote, it is reached as settings and environment say."""
    composer = PartsComposer(with_overrides=settings.overrides == "commit")
    reached = remote or Remote(_opener(settings))
    return TreeLoop(client, store, history, clock, settings, composer, reached, changed)


def _opener(settings: Git) -> Opener:
    address, access = settings.address, Access.of(os.environ)
    return lambda branch: Repository(address.url, branch, address.folder, access)


def _explain_changes(parts: Parts, changes: Mapping[ObjectKey, DocumentChange | None], found: TreeDiff) -> CommitInfo:
    deleted = changes.keys() - parts.documents.keys()
    author = commit_message.author(list(changes.values()))
    return CommitInfo(commit_message.message(found, changes, True, deleted), author)


def _explain_last_changes(
    parts: Parts, last_changes: Mapping[ObjectKey, DocumentChange], found: TreeDiff
) -> CommitInfo:
    owners = set(commit_message.owners(found))
    behind = {key: change for key, change in last_changes.items() if parts.owners[key] in owners}
    return CommitInfo(commit_message.message(found, behind, False, set()), commit_message.OURS)


def state_of(live: Any) -> dict[str, Any]:
    """Return the state in a ConfigMap of this loop's; empty where it holds something else."""
    try:
        found = orjson.loads((live.get("data") or {}).get("state", ""))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _seen(parted: Shares) -> tuple[object, ...]:
    return parted.out_of_step, parted.waiting, parted.moving


def _first(out: list[tuple[ObjectKey, str]]) -> Iterable[tuple[ObjectKey, str]]:
    return sorted(out)[:OBJECTS_SHOWN]


def _sentence(error: TidegateError) -> str:
    if not isinstance(error, Conflict):
        return str(error)
    problems = cut([str(problem) for problem in error.problems], PROBLEMS_SHOWN, error.count)
    return f"{error.subject}: " + "; ".join(problems)
