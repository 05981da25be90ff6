"""A tree in a folder: which files are the manager's, which are stale, and writing them.

Symbolic links are not followed: a program that can write to the folder must not lead the manager out of it.
"""

from collections.abc import Iterator
from pathlib import Path

from istio_templates.errors import Conflict, Problem, TidegateError
from istio_templates.facts import Manifest
from k8s_manager.gitops.layout import KUSTOMIZATION, TOP, Tree, object_in, path_of
from k8s_manager.gitops.tree_diff import IN_THE_WAY, TreeDiff, stale

_UNFINISHED = ".tidegate-new.yaml"


class Unreadable(TidegateError):
    """A folder that cannot be read."""


def compare(folder: Path, tree: Tree) -> TreeDiff:
    """Return how a folder differs from a tree. A file of the manager's that is not in the tree any more is stale too.

    Raises `Conflict` where another owner's file, or a symbolic link, stands in the way.
    """
    try:
        there = {path: (folder / path).read_bytes().decode(errors="replace") for path in _files(folder)}
        _require_room(folder, tree)
    except OSError as error:
        raise Unreadable(f"{folder}: {error}; make it readable, or render elsewhere") from error
    unfinished = {path for path in there if _is_unfinished(path)}
    return stale(str(folder), there, tree, unfinished)


def standing(folder: Path, obj: Manifest) -> Manifest | None:
    """Return the form in which an object stands in a folder; None where it does not, or cannot be read."""
    try:
        return object_in((folder / path_of(obj)).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def _require_room(folder: Path, tree: Tree) -> None:
    """Make sure that no folder stands where a file has to be, nor the other way round; raises `Conflict`."""
    above = {parent for path in tree for parent in (folder / path).parents if parent.is_relative_to(folder)}
    wrong = [path for path in above if path.exists() and not path.is_dir()]
    wrong += [folder / path for path in tree if (folder / path).is_dir()]
    if wrong:
        raise Conflict(str(folder), [Problem(str(path.relative_to(folder)), IN_THE_WAY) for path in sorted(wrong)])


def _is_unfinished(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.startswith(".") and name.endswith(_UNFINISHED)


def write(folder: Path, found: TreeDiff) -> None:
    """Bring a folder in line with a tree. Killed at any moment, the next run does the rest.

    Raises `Unreadable` where something cannot be written; what was written until then is right.
    """
    try:
        _write(folder, found)
    except OSError as error:
        raise Unreadable(f"{folder}: {error}; mend that, and run it again") from error


def _write(folder: Path, found: TreeDiff) -> None:
    for path, _, wanted in found.files:
        file = folder / path
        if wanted is None:
            file.unlink()
            _remove_empty(folder, file.parent)
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}{_UNFINISHED}")
        beside.unlink(missing_ok=True)  # left by a run that was killed, or a link made by hand
        with beside.open("x", encoding="utf-8", newline="") as out:
            out.write(wanted)
        beside.replace(file)


def _remove_empty(folder: Path, parent: Path) -> None:
    while parent != folder and not any(parent.iterdir()):
        parent.rmdir()
        parent = parent.parent


def _files(folder: Path) -> Iterator[str]:
    """Yield the paths of all files that a tree may have; raises `Conflict` at a symbolic link."""
    top = [folder / KUSTOMIZATION, *(folder / name for name in TOP)]
    todo = [path for path in (folder, *top) if path.is_symlink()] or [path for path in top if path.exists()]
    while todo:
        path = todo.pop()
        if path.is_symlink():
            raise Conflict(str(path), [Problem("", "is a symbolic link, which is not followed; take it away")])
        if path.is_dir():
            todo += path.iterdir()
        elif path.suffix == ".yaml":
            yield path.relative_to(folder).as_posix()
