"""Server-side apply, and who owns what after any write.

Owners are kept per (manager, operation, subresource), as Kubernetes keeps them.
"""

from typing import Any

from k8s_manager.standalone.apiserver.errors import ApiError
from k8s_manager.standalone.apiserver.paths import Path, Paths, Shape, from_fields, leaves, merge, remove, to_fields
from k8s_manager.standalone.apiserver.store import clone

Object = dict[str, Any]
Owner = tuple[str, str, str]


def applied(
    live: Object | None, new: Object, manager: str, force: bool, shape: Shape, subresource: str, now: str
) -> Object:
    """Return the object after `manager` has applied `new`, of which it takes parts over; raises 409 where another
    manager holds a field."""
    wanted = leaves(new, shape)
    owners = _owners(live)
    me = (manager, "Apply", subresource)
    result = clone(live) if live else {}
    conflicts = _conflicts(leaves(live, shape) if live else {}, wanted, owners, me)
    if conflicts and not force:
        raise _conflict(conflicts)
    before = owners.pop(me, frozenset())
    held = frozenset().union(*owners.values()) if owners else frozenset()
    for path in sorted(before - wanted.keys() - held, key=lambda path: (path[-1] != ".", -len(path))):
        # An item of a keyed list goes as a whole, unless another manager owns a part of it.
        if path[-1] != "." or not any(other[: len(path) - 1] == path[:-1] for other in held):
            remove(result, path, shape)
    merge(result, new, shape)
    for owner in {owner for _, owner in conflicts}:
        owners[owner] -= {path for path, other in conflicts if other == owner}
    owners[me] = frozenset(wanted)
    return _with_owners(result, owners, live, me, now)


def updated(live: Object | None, new: Object, manager: str, shape: Shape, subresource: str, now: str) -> Object:
    """Return `new` with its changed fields owned by the field manager `manager`, as after POST, PUT or PATCH."""
    before, after = leaves(live, shape) if live else {}, leaves(new, shape)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    gone = before.keys() - after.keys()
    me = (manager, "Update", subresource)
    owners = {owner: paths - changed - gone for owner, paths in _owners(live).items()}
    owners[me] = owners.get(me, frozenset()) | changed
    return _with_owners(new, owners, live, me, now)


def _owners(live: Object | None) -> dict[Owner, Paths]:
    entries = (live or {}).get("metadata", {}).get("managedFields", [])
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): from_fields(entry["fieldsV1"])
        for entry in entries
    }


def _conflicts(
    live: dict[Path, Any], wanted: dict[Path, Any], owners: dict[Owner, Paths], me: Owner
) -> list[tuple[Path, Owner]]:
    return [
        (path, owner)
        for owner, paths in owners.items()
        if owner != me
        for path in paths & wanted.keys()
        if path in live and live[path] != wanted[path]
    ]


def _conflict(conflicts: list[tuple[Path, Owner]]) -> ApiError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{owner[0]}"', "field": dotted(path)}
        for path, owner in conflicts
    ]
    said = ", ".join(f'conflict with "{owner[0]}": {dotted(path)}' for path, owner in conflicts)
    return ApiError(409, "Conflict", f"Apply failed with {len(conflicts)} conflicts: {said}", causes)


def dotted(path: Path) -> str:
    """Return a path as Kubernetes writes it in messages."""
    out = ""
    for step in path:
        out += f".{step[2:]}" if step.startswith("f:") else "" if step == "." else f"[{step[2:]}]"
    return out


def _with_owners(obj: Object, owners: dict[Owner, Paths], live: Object | None, me: Owner, now: str) -> Object:
    times = {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): entry.get("time", now)
        for entry in (live or {}).get("metadata", {}).get("managedFields", [])
    }
    entries = []
    for owner, paths in owners.items():
        if paths:
            entry = {
                "manager": owner[0],
                "operation": owner[1],
                "apiVersion": obj.get("apiVersion", "v1"),
                "time": now if owner == me else times.get(owner, now),
                "fieldsType": "FieldsV1",
                "fieldsV1": to_fields(paths),
            }
            entries.append({**entry, "subresource": owner[2]} if owner[2] else entry)
    obj.setdefault("metadata", {})["managedFields"] = entries
    return obj
