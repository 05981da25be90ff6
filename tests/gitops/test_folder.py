"""A tree in a folder: ours is replaced and removed, everybody else's stays, and nothing leads out of it."""

import itertools
import os
import shutil
import sys
from pathlib import Path

import pytest

from istio_templates.errors import Conflict
from k8s_manager.gitops.folder import compare, write
from k8s_manager.gitops.layout import HEADER, Tree

TREE: Tree = {
    "gateways/shared/a.yaml": HEADER + "a: 1\n",
    "kustomization.yaml": HEADER + "resources: []\n",
    "tenants/search/b.yaml": HEADER + "b: 1\n",
    "tenants/search/ranker/c.yaml": HEADER + "c: 1\n",
}


def bring(folder: Path, tree: Tree) -> None:
    write(folder, compare(folder, tree))


def held(folder: Path) -> dict[str, str]:
    return {f.relative_to(folder).as_posix(): f.read_text() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_a_tree_is_written_and_then_nothing_is_stale(tmp_path: Path):
    folder = tmp_path / "deep" / "tree"
    bring(folder, TREE)
    assert held(folder) == TREE and compare(folder, TREE).files == ()


def test_what_is_stale_is_shown_and_only_that_is_written(tmp_path: Path):
    bring(tmp_path, TREE)
    before = (tmp_path / "tenants/search/b.yaml").stat().st_mtime_ns
    (tmp_path / "gateways/shared/a.yaml").write_text(HEADER + "a: 2\n")
    wanted = {path: text for path, text in TREE.items() if "ranker" not in path} | {
        "tenants/x/d.yaml": HEADER + "d: 1\n"
    }
    stale = compare(tmp_path, wanted)
    assert stale.diff().splitlines() == [
        "--- a/gateways/shared/a.yaml", "+++ b/gateways/shared/a.yaml", "@@ -1,2 +1,2 @@", f" {HEADER[:-1]}", "-a: 2", "+a: 1",
        "--- a/tenants/search/ranker/c.yaml", "+++ /dev/null", "@@ -1,2 +0,0 @@", f"-{HEADER[:-1]}", "-c: 1",
        "--- /dev/null", "+++ b/tenants/x/d.yaml", "@@ -0,0 +1,2 @@", f"+{HEADER[:-1]}", "+d: 1",
    ]  # fmt: skip
    write(tmp_path, stale)
    assert held(tmp_path) == wanted and not (tmp_path / "tenants/search/ranker").exists()
    assert (tmp_path / "tenants/search/b.yaml").stat().st_mtime_ns == before


def test_files_of_others_stay(tmp_path: Path):
    bring(tmp_path, TREE)
    theirs = {"README.md": "read me\n", "tenants/search/patch.yaml": "kind: Patch\n", "base/kustomization.yaml": "x\n"}
    for path, text in theirs.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    bring(tmp_path, {"kustomization.yaml": TREE["kustomization.yaml"]})
    assert held(tmp_path) == {**theirs, "kustomization.yaml": TREE["kustomization.yaml"]}


def test_a_file_that_only_looks_unfinished_stays_and_a_link_in_its_place_is_not_written_through(tmp_path: Path):
    folder, victim = tmp_path / "tree", tmp_path / "victim"
    bring(folder, TREE)
    victim.write_text("mine\n")
    (folder / "tenants/search/values.tidegate-new.yaml").write_text("mine\n")
    (folder / ".kustomization.yaml.tidegate-new.yaml").symlink_to(victim)
    bring(folder, {path: text.replace("[]", "[a]") for path, text in TREE.items()})
    assert victim.read_text() == "mine\n" and not (folder / "kustomization.yaml").is_symlink()
    assert (folder / "tenants/search/values.tidegate-new.yaml").read_text() == "mine\n"


def test_lines_that_end_otherwise_are_stale(tmp_path: Path):
    bring(tmp_path, TREE)
    file = tmp_path / "tenants/search/b.yaml"
    file.write_bytes(file.read_bytes().replace(b"b: 1\n", b"b: 1\r\n"))
    assert [path for path, _, _ in compare(tmp_path, TREE).files] == ["tenants/search/b.yaml"]


@pytest.mark.parametrize("way", ["tenants", "tenants/search", "tenants/search/b.yaml", ""])
def test_a_folder_for_a_file_and_a_file_for_a_folder_are_named(tmp_path: Path, way: str):
    folder = tmp_path / "tree"
    place = folder / way
    if way.endswith(".yaml"):
        place.mkdir(parents=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("mine\n")
    with pytest.raises(Conflict, match="exists and was not rendered by Tidegate"):
        compare(folder, TREE)


def test_a_file_of_somebody_else_in_the_way_is_named_and_nothing_is_written(tmp_path: Path):
    (tmp_path / "tenants/search").mkdir(parents=True)
    (tmp_path / "tenants/search/b.yaml").write_text("mine: true\n")
    with pytest.raises(Conflict, match=r"tenants/search/b.yaml: exists and was not rendered by Tidegate"):
        compare(tmp_path, TREE)
    assert held(tmp_path) == {"tenants/search/b.yaml": "mine: true\n"}


@pytest.mark.parametrize("link", ["tenants", "tenants/search", "tenants/search/b.yaml", "kustomization.yaml"])
def test_symbolic_links_are_not_followed(tmp_path: Path, link: str):
    outside, folder = tmp_path / "outside", tmp_path / "tree"
    bring(folder, TREE)
    shutil.copytree(folder, outside)
    place = folder / link
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    place.symlink_to(outside / link)
    with pytest.raises(Conflict, match="is a symbolic link"):
        compare(folder, {path: text.replace("1", "2") for path, text in TREE.items()})
    assert held(outside) == TREE
    place.unlink()
    place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(Conflict, match="is a symbolic link"):
        compare(folder, TREE)


def test_the_folder_itself_may_not_be_a_link(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "tree").symlink_to(tmp_path / "real")
    with pytest.raises(Conflict, match="is a symbolic link"):
        compare(tmp_path / "tree", TREE)


def test_killed_at_any_moment_the_next_run_ends_in_the_same_tree(tmp_path: Path):
    """A child is killed before each of its calls of the operating system that change the folder, one after the other."""
    old = {**TREE, "tenants/old/e.yaml": HEADER + "e: 1\n"}
    new = {path: text.replace("1", "2") for path, text in TREE.items()} | {"gateways/new/f.yaml": HEADER + "f: 1\n"}
    killed = 0
    for number in itertools.count():
        folder = tmp_path / str(number)
        bring(folder, old)
        child = os.fork()
        if child == 0:
            _die_at_change(number)
            bring(folder, new)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            bring(folder, old)  # it was meant otherwise after all: what was begun is not left behind
            assert held(folder) == old
        bring(folder, new)
        assert held(folder) == new
        if status == 0:
            break
        killed += 1
    assert killed > 2 * len(new)


def _die_at_change(number: int) -> None:
    """Have this process end at the `number`th event by which a folder changes."""
    seen = itertools.count()

    def hook(event: str, arguments: tuple) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and "w" in arguments[1]
        if (writes or event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir")) and next(seen) == number:
            os._exit(9)

    sys.addaudithook(hook)
