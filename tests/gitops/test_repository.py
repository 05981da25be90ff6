"""A tree on a branch: nothing of anybody's is lost, nothing is torn, nothing is forced. Judged by git itself."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from istio_templates.errors import Conflict
from k8s_manager.gitops.layout import HEADER, Tree
from k8s_manager.gitops.repository import ATTEMPTS, CommitInfo, NotTaken, Overtaken, Repository, Unreachable
from tests.support.git_server import Server, files, git, git_server

WHY = CommitInfo("Limit search/ranker to 40/s\n\nBy ada, ticket OPS-7", "Ada <ada@example.com>")
TREE: Tree = {
    "gateways/shared/a.yaml": HEADER + "a: 1\n",
    "kustomization.yaml": HEADER + "resources: []\n",
    "tenants/search/b.yaml": HEADER + "b: 1\n",
}


@pytest.fixture
async def server(tmp_path: Path):
    (tmp_path / "served").mkdir()
    async with git_server(tmp_path / "served") as found:
        found.make()
        yield found


def tree(number: int, name: str = "search") -> Tree:
    return {**TREE, f"tenants/{name}/b.yaml": f"{HEADER}b: {number}\n"}


async def put(repository: Repository, wanted: Tree, onto: str | None = None):
    return await asyncio.to_thread(repository.put, wanted, WHY, onto)


def clone(server: Server, to: Path) -> Path:
    git("clone", "-q", server.url(), str(to), at=to.parent)
    return to


def person(server: Server, at: Path, path: str, text: str) -> None:
    """Commit a file as a client named git, whatever others push meanwhile."""
    (at / path).parent.mkdir(parents=True, exist_ok=True)
    (at / path).write_text(text)
    git("add", "-A", at=at)
    git("commit", "-q", "-m", f"edit {path}", at=at)
    for _ in range(100):
        if not git("push", "-q", "origin", "HEAD:main", at=at, check=False).startswith("failed"):
            return
        git("pull", "-q", "--rebase", "origin", "main", at=at)
    raise AssertionError("overtaken a hundred times")


async def test_the_first_tree_makes_the_branch_and_the_same_one_no_commit(server: Server, tmp_path: Path):
    place, repository = tmp_path / "served" / "tree.git", Repository(server.url(), "main")
    first = await put(repository, TREE)
    assert files(place) == TREE and git("rev-parse", "main", at=place) == first.commit
    told = git("log", "-1", "--format=%an <%ae>|%cn|%B", "main", at=place)
    assert told == f"{WHY.author}|Tidegate|{WHY.message}"
    again = await put(repository, TREE)
    assert (again.commit, again.stale.files) == (first.commit, ())
    assert (await put(Repository(server.url(), "main"), TREE)).commit == first.commit
    assert await asyncio.to_thread(repository.read) == (first.commit, TREE)


async def test_a_tree_in_a_folder_changes_and_shrinks_and_files_of_others_stay(server: Server, tmp_path: Path):
    place = tmp_path / "served" / "tree.git"
    theirs = {
        "README.md": "read\n",
        "clusters/eu/tenants/search/patch.yaml": "kind: Patch\n",
        "tenants/x.yaml": "mine\n",
    }
    repository = Repository(server.url(), "main", "clusters/eu")
    await put(repository, TREE)
    at = clone(server, tmp_path / "person")
    for path, text in theirs.items():
        person(server, at, path, text)
    smaller = {path: text for path, text in tree(2).items() if "gateways" not in path}
    pushed = await put(repository, smaller)
    assert files(place) == {**theirs, **{f"clusters/eu/{path}": text for path, text in smaller.items()}}
    assert [path for path, _, _ in pushed.stale.files] == ["gateways/shared/a.yaml", "tenants/search/b.yaml"]


async def test_a_branch_for_a_change_begins_where_main_is(server: Server, tmp_path: Path):
    place = tmp_path / "served" / "tree.git"
    base = await put(Repository(server.url(), "main"), TREE)
    pushed = await put(Repository(server.url(), "tidegate/search-2"), tree(2), onto="main")
    assert git("rev-parse", "tidegate/search-2~1", at=place) == base.commit
    assert files(place, "tidegate/search-2") == tree(2) and files(place) == TREE
    assert (await put(Repository(server.url(), "tidegate/search-2"), tree(2), onto="main")).commit == pushed.commit


async def test_two_managers_and_a_person_on_one_branch_lose_nothing(server: Server, tmp_path: Path):
    """200 commits, all at once: both managers bring the same documents, as far as each has seen them."""
    place = tmp_path / "served" / "tree.git"
    managers = [Repository(server.url(), "main", chance=random.Random(n)) for n in range(2)]
    await put(managers[0], TREE)
    at, newest = clone(server, tmp_path / "person"), [0]

    async def manage(repository: Repository) -> None:
        while newest[0] < 70:
            newest[0] += 1
            try:
                await put(repository, tree(newest[0]))
            except Overtaken:
                newest[0] -= 1  # a manager would try again

    async def edit() -> None:
        for number in range(70):
            await asyncio.to_thread(person, server, at, f"notes/{number}.md", f"{number}\n")

    await asyncio.gather(*map(manage, managers), manage(managers[0]), edit())
    await put(managers[1], tree(1000))
    count = int(git("rev-list", "--count", "main", at=place))
    while count < 200:  # some trees were equal to what the other had just pushed
        await put(managers[count % 2], tree(count))
        await asyncio.to_thread(person, server, at, "notes/more.md", f"{count}\n")
        count = int(git("rev-list", "--count", "main", at=place))
    await put(managers[0], tree(1000))
    found = files(place)
    assert {path: text for path, text in found.items() if not path.startswith("notes/")} == tree(1000)
    assert all(found[f"notes/{number}.md"] == f"{number}\n" for number in range(70))
    assert git("rev-list", "--min-parents=2", "main", at=place) == ""
    _never_forced(place)
    torn = [c for c in git("rev-list", "main", at=place).split() if len(files_of_ours(place, c)) not in (0, len(TREE))]
    assert torn == [] and git("fsck", "--strict", "--no-dangling", at=place) == ""


def files_of_ours(place: Path, commit: str) -> list[str]:
    names = git("ls-tree", "-r", "--name-only", commit, at=place).split("\n")
    return [name for name in names if name and not name.startswith("notes/")]


def _never_forced(place: Path) -> None:
    """Make sure that every push stood on what was there before it."""
    log = [line.split()[:2] for line in (place / "logs" / "refs" / "heads" / "main").read_text().splitlines()]
    assert len(log) > 1
    for before, after in log:
        if before.strip("0"):
            git("merge-base", "--is-ancestor", before, after, at=place)


async def test_killed_at_any_moment_the_next_run_ends_in_the_same_tree(server: Server, tmp_path: Path):
    place = tmp_path / "served" / "tree.git"
    await put(Repository(server.url(), "main"), TREE)
    script = (
        "import itertools, sys; from k8s_manager.gitops.repository import Repository; from tests.gitops.test_repository import WHY, tree\n"
        f"for number in itertools.count(1): Repository({server.url()!r}, 'main').put(tree(number), WHY); print(number, flush=True)"
    )
    chance = random.Random(7)
    for number in range(1001, 1007):
        await asyncio.to_thread(_killed_while_it_pushes, script, chance.uniform(0, 0.08))
        pushed = await put(Repository(server.url(), "main"), tree(number))
        assert files(place) == tree(number) and git("rev-parse", "main", at=place) == pushed.commit
    _never_forced(place)
    assert git("fsck", "--strict", "--no-dangling", at=place) == ""


def _killed_while_it_pushes(script: str, after: float) -> None:
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(after)
        os.killpg(child.pid, signal.SIGKILL)


async def test_a_repository_that_is_away_refuses_or_is_full_is_named_and_nothing_is_lost(tmp_path: Path):
    folder = tmp_path / "served"
    folder.mkdir()
    async with git_server(folder) as server:
        place = server.make()
        await put(Repository(server.url(), "main"), TREE)
        with pytest.raises(NotTaken, match="check the address"):
            await put(Repository(server.url("absent"), "main"), TREE)
        server.hook("pre-receive", "echo 'main is protected' >&2; exit 1")
        with pytest.raises(NotTaken, match=r"the push was refused: .*hook declined.*allow it, or name another branch"):
            await put(Repository(server.url(), "main"), tree(2))
        (place / "hooks" / "pre-receive").unlink()
        gone = server.url()
    with pytest.raises(Unreachable, match=r"Connection refused.*it is tried again"):
        await put(Repository(gone, "main"), tree(2))
    async with git_server(folder, full=True) as server:
        with pytest.raises((Unreachable, NotTaken), match=r"tree\.git \(main\)"):
            await put(Repository(server.url(), "main"), tree(2))
    assert files(place) == TREE
    async with git_server(folder) as server:
        await put(Repository(server.url(), "main"), tree(2))
    assert files(place) == tree(2)


async def test_who_is_always_overtaken_gives_up_after_a_bounded_time(server: Server, tmp_path: Path):
    """Whenever we have read the branch, somebody else pushes before we do."""
    await put(Repository(server.url(), "main"), TREE)
    at, pauses = clone(server, tmp_path / "person"), []

    class Slow(Repository):
        def _push(self, tip, commit, is_wanted):
            person(server, at, "notes.md", f"{len(pauses)}\n")
            return super()._push(tip, commit, is_wanted)

    with pytest.raises(Overtaken, match=rf"others pushed faster {ATTEMPTS} times"):
        await put(Slow(server.url(), "main", pause=pauses.append), tree(2))
    assert len(pauses) == ATTEMPTS - 1 and all(0 <= pause <= 0.05 * 2**n for n, pause in enumerate(pauses))


async def test_a_tree_that_depends_on_the_branch_is_composed_anew_when_others_were_faster(
    server: Server, tmp_path: Path
):
    await put(Repository(server.url(), "main"), TREE)
    at, seen = clone(server, tmp_path / "person"), []

    class Slow(Repository):
        def _push(self, tip, commit, is_wanted):
            if len(seen) == 1:
                person(server, at, "tenants/ads/c.yaml", f"{HEADER}c: 1\n")
            return super()._push(tip, commit, is_wanted)

    def compose(there: Tree) -> Tree:
        """Keep what is there of one tenant."""
        seen.append("tenants/ads/c.yaml" in there)
        return tree(2) | {path: text for path, text in there.items() if path.startswith("tenants/ads/")}

    await put(Slow(server.url(), "main"), compose)
    assert seen == [False, True]
    assert files(tmp_path / "served" / "tree.git") == tree(2) | {"tenants/ads/c.yaml": f"{HEADER}c: 1\n"}


@pytest.mark.parametrize("what", ["file", "link", "folder link", "submodule"])
async def test_what_stands_in_the_way_is_named_and_left(server: Server, tmp_path: Path, what: str):
    await put(Repository(server.url(), "main"), {"kustomization.yaml": TREE["kustomization.yaml"]})
    at = clone(server, tmp_path / "person")
    (at / "tenants").mkdir()
    if what == "file":
        (at / "tenants" / "search").mkdir()
        (at / "tenants" / "search" / "b.yaml").write_text("mine: true\n")
    elif what == "link":
        (at / "tenants" / "search").mkdir()
        (at / "tenants" / "search" / "b.yaml").symlink_to("../../../secrets.yaml")
    elif what == "folder link":
        (at / "tenants" / "search").symlink_to("../notes")
    else:
        head = git("rev-parse", "HEAD", at=at)
        git("update-index", "--add", "--cacheinfo", f"160000,{head},tenants/search", at=at)
    if what != "submodule":
        git("add", "-A", at=at)
    git("commit", "-q", "-m", "in the way", at=at)
    git("push", "-q", "origin", "HEAD:main", at=at)
    before = git("rev-parse", "HEAD", at=at)
    said = {"file": "exists and was not rendered by Tidegate", "submodule": "is a submodule"}.get(
        what, "is a symbolic link"
    )
    with pytest.raises(Conflict, match=said):
        await put(Repository(server.url(), "main"), TREE)
    assert git("rev-parse", "main", at=tmp_path / "served" / "tree.git") == before
