"""A tree in a folder: what of it is ours, what is stale, and writing it.

Symbolic links are not followed: who can write to the folder must not lead us out of it.
"""

from collections.abc import Iterator
from pathlib import Path

from istio_templates.errors import Conflict, Problem
from k8s_manager.gitops.layout import KUSTOMIZATION, TOP, Tree
from k8s_manager.gitops.stale import Stale, stale

_UNFINISHED = ".tidegate-new.yaml"


def compare(folder: Path, tree: Tree) -> Stale:
    """Return how a folder differs from a tree. What of ours is not in the tree any more is stale too.

    Raises `Conflict` where somebody else's file, or a symbolic link, stands in the way.
    """
    there = {path: (folder / path).read_text(errors="replace") for path in _files(folder)}
    unfinished = {path for path in there if path.endswith(_UNFINISHED)}
    return stale(str(folder), there, tree, unfinished)


def write(folder: Path, found: Stale) -> None:
    """Bring a folder in line with a tree. Killed at any moment, the next run does the rest."""
    for path, _, wanted in found.files:
        file = folder / path
        if wanted is None:
            file.unlink()
            _remove_empty(folder, file.parent)
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}{_UNFINISHED}")
        beside.write_text(wanted)
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
