"""Fields that the manager gives up to another owner, such as the replicas of a Deployment to an autoscaler. Pure.

When the only owner of a field no longer applies it, the API server takes the value away and fills in its default: one
replica. So a second field manager takes the field first, with the value that it has; the new owner changes it when it
likes (https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership).
"""

from collections.abc import Iterator
from typing import Any

from istio_templates import names
from istio_templates.facts import Manifest
from k8s_manager.drift.compare import Path

HANDOVER = f"{names.MANAGER}-handover"
"""The field manager that holds such a value until its new owner changes it."""
_FIELDS: dict[str, tuple[Path, ...]] = {"Deployment": (("spec", "replicas"),)}


def may_hand_over(wanted: Manifest) -> bool:
    """Tell whether a desired object leaves a field out that the live one may still have from us."""
    return any(_at(wanted, path) is None for path in _FIELDS.get(wanted["kind"], ()))


def given_up(live: Manifest, wanted: Manifest) -> dict[str, Any]:
    """Return the fields, with their values, that `wanted` leaves out and of which we are the only owner."""
    return {".".join(path): value for path, value in _given_up(live, wanted)}


def handover(live: Manifest, wanted: Manifest) -> Manifest | None:
    """Return what the second field manager applies before `wanted` is written; None where nothing is given up."""
    out: Manifest = {"apiVersion": wanted["apiVersion"], "kind": wanted["kind"], "metadata": _identity(live)}
    found = list(_given_up(live, wanted))
    for path, value in found:
        _put(out, path, value)
    return out if found else None


def with_given_up(answer: Manifest, live: Manifest, wanted: Manifest) -> Manifest:
    """Return what a dry run answered, with the values that stay."""
    found = list(_given_up(live, wanted))
    out = {**answer, "spec": dict(answer.get("spec") or {})} if found else answer
    for path, value in found:
        _put(out, path, value)
    return out


def _given_up(live: Manifest, wanted: Manifest) -> Iterator[tuple[Path, Any]]:
    for path in _FIELDS.get(wanted["kind"], ()):
        value = _at(live, path)
        if value is not None and _at(wanted, path) is None and _owners(live, path) == {names.MANAGER}:
            yield path, value


def _owners(live: Manifest, path: Path) -> set[str]:
    fields = tuple(f"f:{name}" for name in path)
    entries = live["metadata"].get("managedFields") or []
    return {str(entry.get("manager")) for entry in entries if _at(entry.get("fieldsV1") or {}, fields) is not None}


def _identity(live: Manifest) -> Manifest:
    return {name: live["metadata"][name] for name in ("name", "namespace", "uid") if name in live["metadata"]}


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _put(obj: Manifest, path: Path, value: Any) -> None:
    for key in path[:-1]:
        obj = obj.setdefault(key, {})
    obj[path[-1]] = value
