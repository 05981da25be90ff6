"""Message of a commit: who changed what, and why. Pure.

Texts from people get one line each: nothing that a person writes as a reason can look like another line.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from istio_templates.facts import ObjectKey
from k8s_manager.gitops.layout import KUSTOMIZATION, RUNTIME
from k8s_manager.gitops.tree_diff import TreeDiff
from k8s_manager.history.revision import ChangeAuthor
from k8s_manager.runtime.sentences import cut, named
from k8s_manager.world.owner import Owner

OURS = "Tidegate <tidegate@localhost>"
SUBJECTS, LINES, LONGEST = 3, 20, 200
_BY_ITSELF = "No document has changed: this follows from what is in the cluster."
_UNFIT = re.compile(r"[^\w .:@+-]")


def owners(found: TreeDiff) -> list[Owner]:
    """Return whose files differ, in order."""
    return sorted({owner for path, _, _ in found.files if (owner := owner_of_path(path)) is not None})


def owner_of_path(path: str) -> Owner | None:
    """Return whose a file of the tree is, by the folders it is in; None where it has no owner."""
    parts = path.removeprefix(f"{RUNTIME}/").split("/")
    if len(parts) < 3 or parts[-1] == KUSTOMIZATION:
        return None
    top, name, *below = parts
    if top == "tenants":
        return ("", name, below[0] if len(below) == 2 else "")
    return (name, "", "") if top == "gateways" else None


def message(
    found: TreeDiff,
    changes: Mapping[ObjectKey, ChangeAuthor | None],
    known: bool = True,
    deleted: Collection[ObjectKey] = (),
) -> str:
    """Return the message of a commit; `changes` are those of documents that led to it, or where that is not `known`
    their last ones; those that were `deleted` have None where the author is unknown."""
    subjects = [_name(key) for key in sorted(changes)] or [_owner(owner) for owner in owners(found)]
    head = f"{named(subjects, SUBJECTS) or 'The tree'}: {found}"
    by = "by" if known else "last changed by"
    lines = [_line(key, changes[key], "deleted by" if key in deleted else by) for key in sorted(changes)]
    return "\n".join([head, "", *cut(lines or [_BY_ITSELF], LINES)]) + "\n"


def author(changes: Sequence[ChangeAuthor | None]) -> str:
    """Return who is named as the author: the one author of all changes, if there is only one."""
    who = {change.by for change in changes if change is not None}
    name = _UNFIT.sub("", who.pop()).strip()[:LONGEST] if len(who) == 1 else ""
    return f"{name} <>" if name else OURS


def _owner(owner: Owner) -> str:
    gateway, tenant, model = owner
    return gateway or (f"{tenant}/{model}" if model else tenant)


def _name(key: ObjectKey) -> str:
    return f"{key.namespace}/{key.name}" if key.namespace else key.name


def _line(key: ObjectKey, change: ChangeAuthor | None, by: str) -> str:
    if change is None:
        return f"{key.kind} {_name(key)}: deleted"
    why = " ".join(part for part in (change.ticket and f"[{_flat(change.ticket)}]", _flat(change.reason)) if part)
    return f"{key.kind} {_name(key)}: {by} {_flat(change.by)}{f': {why}' if why else ''}"


def _flat(text: str) -> str:
    """Return a text on one line, without anything that is not printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST]
