"""Fields that the manager releases to another owner, such as the replicas of a Deployment to an autoscaler. Pure.

When the only owner of a field no longer applies it, the API server takes the value away and fills in its default: one
replica. So a second field manager takes the field first, with the value that it has; the new owner changes it when it
likes (https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership).
"""

from collections.abc import Mapping
from functools import reduce
from typing import Any

from istio_templates import names
from istio_templates.facts import Manifest
from k8s_manager.drift.compare import Path
from k8s_manager.kube.merge_patch import merged_patch

HANDOVER = f"{names.MANAGER}-handover"
"""The field manager that holds such a value until its new owner changes it."""
_FIELDS: dict[str, tuple[Path, ...]] = {"Deployment": (("spec", "replicas"),)}


def may_hand_over(wanted: Manifest) -> bool:
    """Tell whether a desired object leaves a field out that the live one may still have from the manager."""
    return any(_at(wanted, path) is None for path in _FIELDS.get(wanted["kind"], ()))


def given_up(live: Manifest, wanted: Manifest) -> dict[Path, Any]:
    """Return the fields, with their values, that the desired object leaves out and of which the manager is the only
    owner."""
    return {
        path: value
        for path in _FIELDS.get(wanted["kind"], ())
        if (value := _at(live, path)) is not None
        and _at(wanted, path) is None
        and _owners(live, path) == {names.MANAGER}
    }


def handover(live: Manifest, fields: Mapping[Path, Any]) -> Manifest:
    """Return what the second field manager applies before the first one releases the fields."""
    identity = {name: live["metadata"][name] for name in ("name", "namespace", "uid") if name in live["metadata"]}
    return with_fields({"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": identity}, fields)


def with_fields(obj: Manifest, fields: Mapping[Path, Any]) -> Manifest:
    """Return an object with some fields."""
    for path, value in fields.items():
        obj = merged_patch(obj, reduce(lambda inner, name: {name: inner}, reversed(path), value))
    return obj


def _owners(live: Manifest, path: Path) -> set[str]:
    fields = tuple(f"f:{name}" for name in path)
    entries = live["metadata"].get("managedFields") or []
    return {str(entry.get("manager")) for entry in entries if _at(entry.get("fieldsV1") or {}, fields) is not None}


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
