"""A tree on a branch of a Git repository: read, changed and pushed, never by force.

What is pushed stands on the commit that was read, and the server compares it: where another push came first it takes
nothing, and the manager reads and compares again. Nothing is merged. All is held in memory; a push is there as a whole
or not at all, so that a killed manager leaves no torn tree behind.

    TidegateError
    ├── Unreachable (Transient)   the repository does not answer; tried again
    ├── Overtaken (Transient)     others pushed faster, time after time
    └── NotTaken (Stalled)        no such repository, no right, a protected branch: an operator has to act
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from dulwich.client import GitClient, HTTPUnauthorized, get_transport_and_path
from dulwich.config import ConfigFile, StackedConfig
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
from dulwich.object_store import commit_tree_changes, iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.objects import Tree as GitTree
from dulwich.refs import Ref
from dulwich.repo import MemoryRepo
from tenacity import RetryError, Retrying, retry_if_result, stop_after_attempt
from urllib3.exceptions import HTTPError

from istio_templates.errors import Conflict, Problem, Stalled, TidegateError, Transient
from k8s_manager.gitops.layout import KUSTOMIZATION, TOP, Tree
from k8s_manager.gitops.tree_diff import TreeDiff, stale
from k8s_manager.runtime.backoff import Backoff

ATTEMPTS, BACKOFF = 10, Backoff(0.05, 60.0)
SSH = "ssh -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
"""How git reaches a server unless the environment says otherwise: the manager gives up on one that hangs."""
TIMEOUT = 60
"""Seconds without a byte after which an https server is given up."""
Compose = Callable[[Tree], Tree]
"""Returns the desired tree for the one that is there."""
_FILE = 0o100644
_LINKS = {0o120000: "a symbolic link", 0o160000: "a submodule"}
_FINAL = ("not found", "no such repository", "does not exist", "not a git repository", "denied", "not exported")


@dataclass(frozen=True, slots=True)
class Access:
    """How a repository is reached: user and token for https, the authorities to trust there besides the public ones,
    and the ssh program with its options."""

    credentials: tuple[str, str] | None = None
    ca_file: str | None = None
    ssh: str | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Access":
        """Return what an environment says: no other user of the machine can read it."""
        token = environment.get("TIDEGATE_GIT_TOKEN")
        given = (environment.get("TIDEGATE_GIT_USER", ""), token) if token else None
        return cls(given, environment.get("TIDEGATE_GIT_CA_FILE"), environment.get("GIT_SSH_COMMAND"))


class Unreachable(Transient):
    """A repository that does not answer."""


class Overtaken(Transient):
    """A branch on which others push faster than the manager."""


class NotTaken(Stalled):
    """A push that the repository will not take, or a repository that is not there."""


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """Why a tree changes: the message, and who asked for it as `Name <address>`."""

    message: str
    author: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """The commit that holds a tree now, and how what was there before differed."""

    commit: str
    stale: TreeDiff


class Repository:
    """One folder on one branch of one repository. Every call blocks: run it in a thread.

    `url` is https, ssh, git, or a path.
    """

    def __init__(
        self,
        url: str,
        branch: str,
        folder: str = "",
        access: Access = Access(),
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ) -> None:
        self._url, self._ref = url, Ref(f"refs/heads/{branch}".encode())
        self._prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
        self._access, self._pause, self._now, self._chance = access, pause, now, chance or random.Random()
        self._repo, self._config = MemoryRepo(), _config(access)

    def put(
        self,
        tree: Tree | Compose,
        change: CommitInfo | Callable[[TreeDiff], CommitInfo],
        onto: str | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Pushed:
        """Bring the branch in line with a tree, as long as that `is_wanted`; one that is already gets no commit.

        A tree that depends on what is on the branch is composed again whenever others were faster.

        A branch that is not there begins where the branch `onto` is, or with nothing. Raises `Conflict` where another
        else's file stands in the way, and the errors above.
        """
        retrying = Retrying(
            retry=retry_if_result(lambda pushed: pushed is None),
            wait=lambda state: self._chance.uniform(0, BACKOFF.after(state.attempt_number)),
            stop=stop_after_attempt(ATTEMPTS),
            sleep=self._pause,
        )
        try:
            pushed = retrying(self._put_once, tree, change, onto, is_wanted)
        except RetryError as error:
            said = f"{self._name}: others pushed faster {ATTEMPTS} times; it is tried again"
            raise Overtaken(said) from error
        assert pushed is not None
        return pushed

    def _put_once(
        self,
        tree: Tree | Compose,
        change: CommitInfo | Callable[[TreeDiff], CommitInfo],
        onto: str | None,
        is_wanted: Callable[[], bool],
    ) -> Pushed | None:
        """Read, compare and push; return None where others pushed faster."""
        tip, base = self._tips(onto)
        there, links = self._there(base)
        wanted = tree(there) if callable(tree) else tree
        self._require_no_links(links, wanted)
        found = stale(self._url, there, wanted)
        if not found.files and base is not None:
            return Pushed(base.decode(), found)
        commit = self._commit(base, found, change(found) if callable(change) else change)
        return Pushed(commit.id.decode(), found) if self._push(tip, commit.id, is_wanted) else None

    def read(self) -> tuple[str | None, Tree]:
        """Return the commit of the branch, and every file in the manager's part of the folder, no matter who made
        it."""
        tip, _ = self._tips(None)
        return (tip.decode() if tip else None), self._there(tip)[0]

    @property
    def _name(self) -> str:
        return f"{self._url} ({self._ref.decode().removeprefix('refs/heads/')})"

    def _client(self) -> tuple[GitClient, bytes]:
        user, password = self._access.credentials or (None, None)
        client, path = get_transport_and_path(
            self._url, self._config, username=user, password=password, ssh_command=self._access.ssh or SSH
        )
        return client, path.encode()

    def _tips(self, onto: str | None) -> tuple[ObjectID | None, ObjectID | None]:
        """Return the commit of the branch (None: there is no such branch) and the commit to stand on."""
        wanted = [self._ref, *([Ref(f"refs/heads/{onto}".encode())] if onto else [])]

        def lacking(refs: Any, depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001
            return [refs[ref] for ref in wanted if ref in refs and refs[ref] not in self._repo.object_store]

        client, path = self._client()
        refs = self._asked(lambda: client.fetch(path, self._repo, determine_wants=lacking, depth=1).refs)
        tip = refs.get(self._ref)
        return tip, tip or next((refs[ref] for ref in wanted if refs.get(ref)), None)

    def _there(self, commit: ObjectID | None) -> tuple[Tree, dict[str, str]]:
        """Return the texts of the files that may be the manager's by their paths below the folder, and what is no
        file."""
        found: Tree = {}
        links = {}
        for path, mode, sha in self._entries(commit):
            if mode in _LINKS:
                links[path] = _LINKS[mode]
            elif path.endswith(".yaml"):
                blob = self._repo.object_store[sha]
                assert isinstance(blob, Blob)
                found[path] = blob.data.decode(errors="replace")
        return found, links

    def _require_no_links(self, links: Mapping[str, str], tree: Tree) -> None:
        """Make sure that nothing of a tree stands where something is that is not followed; raises `Conflict`."""
        for path, what in links.items():
            if path in tree or any(wanted.startswith(f"{path}/") for wanted in tree):
                raise Conflict(self._name, [Problem(path, f"is {what}, which is not followed; take it away")])

    def _entries(self, commit: ObjectID | None) -> Iterator[tuple[str, int, ObjectID]]:
        """Yield (path below the folder, mode, sha) of what stands where a tree would."""
        if commit is None:
            return
        for entry in iter_tree_contents(self._repo.object_store, self._tree(commit)):
            path = entry.path.decode(errors="replace")
            below = path.removeprefix(self._prefix)
            if path.startswith(self._prefix) and (below == KUSTOMIZATION or below.partition("/")[0] in TOP):
                yield below, entry.mode, entry.sha

    def _tree(self, commit: ObjectID) -> ObjectID:
        found = self._repo.object_store[commit]
        assert isinstance(found, Commit)
        return ObjectID(found.tree)

    def _commit(self, base: ObjectID | None, found: TreeDiff, change: CommitInfo) -> Commit:
        store = self._repo.object_store
        empty = GitTree()
        store.add_object(empty)
        changes: list[tuple[bytes, int | None, ObjectID | None]] = []
        for path, _, wanted in found.files:
            place = f"{self._prefix}{path}".encode()
            if wanted is None:
                changes.append((place, None, None))
                continue
            blob = Blob.from_string(wanted.encode())
            store.add_object(blob)
            changes.append((place, _FILE, blob.id))
        commit = Commit()
        commit.tree = commit_tree_changes(store, self._tree(base) if base else empty.id, changes)
        commit.parents = [base] if base else []
        commit.author, commit.committer = change.author.encode(), b"Tidegate <tidegate@localhost>"
        commit.author_time = commit.commit_time = int(self._now())
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding, commit.message = b"UTF-8", change.message.encode()
        store.add_object(commit)
        return commit

    def _push(self, tip: ObjectID | None, commit: ObjectID, is_wanted: Callable[[], bool]) -> bool:
        """Push a commit that stands on `tip`; return False where the branch has moved."""
        moved = False

        def onto_that_only(refs: dict[Ref, ObjectID]) -> dict[Ref, ObjectID]:
            nonlocal moved
            if not is_wanted():
                raise Overtaken(f"{self._name}: no request waits for this commit any more; the next one contains it")
            moved = refs.get(self._ref) != tip
            return {} if moved else {self._ref: commit}

        client, path = self._client()
        # Only the newest commit of the branch is here, and what is packed must not look for those before it.
        packed = partial(self._repo.object_store.generate_pack_data, shallow=self._repo.get_shallow())
        result = self._asked(lambda: client.send_pack(path, onto_that_only, packed))
        said = (result.ref_status or {}).get(self._ref)
        if said is not None and not _is_race(said):
            raise NotTaken(f"{self._name}: the push was refused: {said}; allow it, or name another branch")
        return not moved and said is None

    def _asked(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except TidegateError:
            raise
        except NotGitRepository as error:
            raise NotTaken(f"{self._name}: there is no such repository; check the address") from error
        except HTTPUnauthorized as error:
            raise NotTaken(f"{self._name}: these credentials have no right; give others") from error
        except (GitProtocolError, HTTPError, OSError) as error:
            raise _meant(self._name, error) from error


def _config(access: Access) -> StackedConfig:
    """Return git's configuration on this machine, and the configuration given before it."""
    own = ConfigFile()
    own.set("http", "timeout", str(TIMEOUT))
    if access.ca_file:
        own.set("http", "sslCAInfo", access.ca_file)
    return StackedConfig([own, *StackedConfig.default_backends()])


def _is_race(said: str) -> bool:
    """Tell whether a server did not take a push because the branch had just moved."""
    return any(word in said for word in ("failed to update ref", "fetch first", "unable to set", "cannot lock ref"))


def _meant(name: str, error: Exception) -> TidegateError:
    """Return what a failed call means: most servers that hang up say why before they do."""
    lines = (error.stderr_lines or ()) if isinstance(error, HangupException) else ()
    said = " ".join(line.decode(errors="replace").strip() for line in lines) or str(error) or type(error).__name__
    if any(word in said.lower() for word in _FINAL):
        return NotTaken(f"{name}: {said}; check the address and the key")
    return Unreachable(f"{name}: {said}; it is tried again")
