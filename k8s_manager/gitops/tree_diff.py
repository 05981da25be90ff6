"""How a tree differs from what is there. Pure.

A file is the manager's if it begins with the manager's header. Any other file is kept and never written over.
"""

import difflib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from istio_templates.errors import Conflict, Problem
from k8s_manager.gitops.layout import HEADER, Tree

IN_THE_WAY = "exists and was not rendered by Tidegate; move it, or render to another folder"


@dataclass(frozen=True, slots=True)
class TreeDiff:
    """How a place differs from a tree: (path, text there or None, text desired or None), by path."""

    files: tuple[tuple[str, str | None, str | None], ...]

    def __str__(self) -> str:
        gone = sum(wanted is None for _, _, wanted in self.files)
        return f"{len(self.files) - gone} files written, {gone} removed"

    def diff(self) -> str:
        """Return it as `diff -u` would."""
        return "".join(line for file in self.files for line in _diff(*file))


def stale(place: str, there: Mapping[str, str], tree: Tree, unfinished: Container[str] = ()) -> TreeDiff:
    """Return how what is `there` differs from a tree; `unfinished` are the manager's, whatever they contain.

    Raises `Conflict` where another owner's file stands in the way.
    """
    ours = {path: text for path, text in there.items() if text.startswith(HEADER) or path in unfinished}
    in_the_way = [path for path in tree if path in there and path not in ours]
    if in_the_way:
        raise Conflict(place, [Problem(path, IN_THE_WAY) for path in in_the_way])
    changed = [(path, ours.get(path), text) for path, text in tree.items() if ours.get(path) != text]
    gone = [(path, text, None) for path, text in ours.items() if path not in tree]
    return TreeDiff(tuple(sorted([*changed, *gone], key=lambda file: file[0])))


def _diff(path: str, there: str | None, wanted: str | None) -> Iterator[str]:
    before, after = (text.splitlines(True) if text else [] for text in (there, wanted))
    names = (f"a/{path}" if there is not None else "/dev/null", f"b/{path}" if wanted is not None else "/dev/null")
    return difflib.unified_diff(before, after, *names)
