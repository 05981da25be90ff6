"""A tree in a folder: what of it is ours, what is stale, and writing it.

A file is ours if it begins with our header. What is not is kept and never written over. Symbolic links are not
followed: who can write to the folder must not lead us out of it.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from istio_templates.errors import Conflict, Problem
from k8s_manager.gitops.layout import HEADER, KUSTOMIZATION, Tree

_UNFINISHED = ".new.yaml"
_TOP = ("gateways", "tenants")


@dataclass(frozen=True, slots=True)
class Stale:
    """How a folder differs from a tree: (path, text there or None, text wanted or None), by path."""

    files: tuple[tuple[str, str | None, str | None], ...]

    def diff(self) -> str:
        """Return it as `diff -u` would."""
        return "".join(line for file in self.files for line in _diff(*file))


def compare(folder: Path, tree: Tree) -> Stale:
    """Return how a folder differs from a tree. What of ours is not in the tree any more is stale too.

    Raises `Conflict` where somebody else's file, or a symbolic link, stands in the way.
    """
    there = {path: (folder / path).read_text(errors="replace") for path in _files(folder)}
    ours = {path: text for path, text in there.items() if text.startswith(HEADER) or path.endswith(_UNFINISHED)}
    problems = [Problem(path, "is in the way and not ours; move it, or render elsewhere")
                for path in tree if path in there and path not in ours]  # fmt: skip
    if problems:
        raise Conflict(str(folder), problems)
    changed = [(path, ours.get(path), text) for path, text in tree.items() if ours.get(path) != text]
    gone = [(path, text, None) for path, text in ours.items() if path not in tree]
    return Stale(tuple(sorted([*changed, *gone])))


def write(folder: Path, stale: Stale) -> None:
    """Bring a folder in line with a tree. Killed at any moment, the next run does the rest."""
    for path, _, wanted in stale.files:
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
    top = [folder / KUSTOMIZATION, *(folder / name for name in _TOP)]
    todo = [path for path in (folder, *top) if path.is_symlink()] or [path for path in top if path.exists()]
    while todo:
        path = todo.pop()
        if path.is_symlink():
            raise Conflict(str(path), [Problem("", "is a symbolic link, which is not followed; take it away")])
        if path.is_dir():
            todo += path.iterdir()
        elif path.suffix == ".yaml":
            yield path.relative_to(folder).as_posix()


def _diff(path: str, there: str | None, wanted: str | None) -> Iterator[str]:
    before, after = (text.splitlines(True) if text else [] for text in (there, wanted))
    names = (f"a/{path}" if there is not None else "/dev/null", f"b/{path}" if wanted is not None else "/dev/null")
    return difflib.unified_diff(before, after, *names)
